import { join } from 'node:path';
import {
  parseRunningSession,
  pidDomainOf,
  pidOfRecord,
  type RunningSession,
  sessionsFolder,
} from '../claude-code/running-sessions.ts';
import type { Os } from '../os/os.ts';
import type { ObservedAgent } from '../policy/conversation-lease.ts';
import { namesIn, readOwnFile } from '../store/files.ts';
import type { ManagedProcess } from './managed-process.ts';

/** Far more sessions than one user runs at once. */
const MAX_FILES = 1000;
/** Deeper than any real process tree. */
const MAX_DEPTH = 100;

/**
 * Finds a living agent of no supervisor here that runs a session, by its CLI's own record.
 *
 * Whatever cannot be read or proven is nothing: the folder is the user's, and its format undocumented.
 */
export function observeAgent(
  sessionId: string,
  env: Readonly<Record<string, string | undefined>>,
  { os, live }: { readonly os: Os; readonly live: ReadonlyMap<string, ManagedProcess> },
): ObservedAgent | undefined {
  const { machineId, processes } = os;
  const folder = sessionsFolder(env);
  const machine = machineId?.();
  if (folder === undefined || machine === undefined || processes.read === undefined)
    return undefined;
  const domain = pidDomainOf(machine, os.identify().pidNamespace);
  const names = namesIn(folder).filter((name) => pidOfRecord(name) !== undefined);
  for (const name of names.slice(0, MAX_FILES)) {
    const session = readSession(join(folder, name), os);
    if (session?.sessionId.toLowerCase() !== sessionId || session.pidDomain !== domain) continue;
    if (session.pid !== pidOfRecord(name) || !isAlive(session, os)) continue;
    const own = new Set(Array.from(live.values(), ({ record }) => record.pid));
    if (!descendsFrom(own, session.pid, os)) return { pid: session.pid, kind: session.kind };
  }
  return undefined;
}

function readSession(path: string, os: Os): RunningSession | undefined {
  try {
    return parseRunningSession(readOwnFile(path, os));
  } catch {
    return undefined;
  }
}

function isAlive({ pid, procStart }: RunningSession, os: Os): boolean {
  const now = read(pid, os);
  return now?.alive === true && now.startTime === procStart;
}

function descendsFrom(roots: ReadonlySet<number>, pid: number, os: Os): boolean {
  let at: number | undefined = pid;
  for (let depth = 0; at !== undefined && at > 1 && depth < MAX_DEPTH; depth++) {
    if (roots.has(at)) return true;
    at = read(at, os)?.ppid;
  }
  return false;
}

function read(pid: number, { processes }: Os) {
  try {
    return processes.read?.(pid);
  } catch {
    return undefined;
  }
}
