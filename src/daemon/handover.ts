import { lstatSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { readerOf } from '../containment/judge.ts';
import { isOfThisNamespace, judgeRecorded, ownIdentity } from '../containment/recorded-process.ts';
import { sleep } from '../os/clock.ts';
import { COOKIE_VARIABLE, type Os, type ProcessEntry } from '../os/os.ts';
import { canConnect } from '../os/probe.ts';
import { PROBE_MS } from '../ready/readiness.ts';
import { statOwn } from '../store/files.ts';
import { removeHeartbeat } from '../store/heartbeat-file.ts';
import type { PidFile } from '../store/pid-record.ts';
import { marksInCookie } from '../tree/cookie.ts';
import { marksOf } from '../tree/marks.ts';
import { Termination } from '../tree/termination.ts';
import { ProcessTree } from '../tree/tracked-tree.ts';

/** Time that a daemon gets to exit by itself: a little more than a supervisor's default ladder takes. */
const POLITE_MS = 10_000;
/**
 * The ladder for the processes that are left then. After SIGKILL, only an overloaded machine takes more
 * than some milliseconds.
 */
const LADDER = { stdinEofMs: 0, termMs: 2000, killMs: 5000 };
const POLL_MS = 20;

/** Makes the process tree of a daemon from its pid file. */
export function treeOfDaemon(
  os: Os,
  { pid, startTime, cookie = '' }: Pick<PidFile, 'pid' | 'startTime' | 'cookie'>,
  held = false,
): ProcessTree {
  const leadsGroup = os.platform !== 'win32';
  return new ProcessTree(os, { pid, startTime, leadsGroup, held, ...marksOf(cookie) });
}

/** Ends all processes that are left of a tree, and resolves to the survivors. */
export async function endDaemonTree(tree: ProcessTree, os: Os): Promise<readonly ProcessEntry[]> {
  const target = { running: () => false, endStdin: () => undefined, stdinEndedAtMs: undefined };
  const { survivors } = await new Termination(os, { ...target, tree }, LADDER, {}).done;
  return survivors;
}

/**
 * Ends what a dead daemon has left, and removes its socket and its heartbeat.
 *
 * Its pid file stays. Resolves to the survivors.
 */
export async function removeRemainsOf(
  pidFile: string,
  file: PidFile,
  os: Os,
): Promise<readonly ProcessEntry[]> {
  const survivors = await endRemainsOf(file, os);
  if (survivors.length > 0) return survivors;
  if (file.socket !== undefined) await removeStaleSocket(file.socket, os);
  removeHeartbeat(dirname(pidFile), file.heartbeat);
  return [];
}

/** Ends the processes that a dead daemon's pid file proves to be its own; resolves to the survivors. */
async function endRemainsOf(file: PidFile, os: Os): Promise<readonly ProcessEntry[]> {
  const { cookie } = file;
  if (cookie === undefined) return [];
  // A pid from another boot or namespace means nothing here: only the cookie proves anything.
  const isHere = isOfThisNamespace(file, await ownIdentity(os));
  const root = isHere ? file : { pid: 0, startTime: undefined, cookie };
  return endDaemonTree(treeOfDaemon(os, root), os);
}

/**
 * Ends a daemon and its process tree, and resolves to the survivors. The daemon alone gets SIGTERM first,
 * so that it can end the processes that it supervises. What is left of its tree then goes down the ladder.
 * Resolves when all others are seen dead.
 */
export async function endDaemon(file: PidFile, os: Os): Promise<readonly ProcessEntry[]> {
  const isThere = async () => (await judgeRecorded(file, os)) === 'alive';
  const tree = treeOfDaemon(os, file);
  // Look while the daemon lives, so that processes which lose their parent later are known by then.
  await tree.liveMembers();
  const untilMs = os.clock.running.monotonicMs() + POLITE_MS;
  // Windows has no polite signal, and finds a tree only while its root lives.
  if (os.endTree === undefined && (await isThere())) {
    os.signal(file.pid, 'SIGTERM');
    while (os.clock.running.monotonicMs() < untilMs && (await isThere()))
      await sleep(POLL_MS, os.clock.running);
  }
  return endDaemonTree(tree, os);
}

/**
 * Tells if the daemon has started this process, which would then be ended before the daemon's successor
 * runs.
 */
export async function isInside({ pid, cookie }: PidFile, os: Os): Promise<boolean> {
  const marks = marksInCookie(os.environment()[COOKIE_VARIABLE]);
  if (cookie !== undefined && marks.includes(cookie)) return true;
  const read = await readerOf(os);
  const seen = new Set<number>();
  for (let at = os.identify().pid; at > 1 && !seen.has(at); at = read(at)?.ppid ?? 0) {
    if (at === pid) return true;
    seen.add(at);
  }
  return false;
}

/** Removes the socket that a dead daemon's pid file names, if this user owns it and no process listens. */
async function removeStaleSocket(socket: string, os: Os): Promise<void> {
  try {
    if (!lstatSync(socket).isSocket() || (await canConnect({ socket }, PROBE_MS))) return;
    statOwn(socket, os);
    rmSync(socket, { force: true });
  } catch {
    // The socket does not exist, or another user owns it.
  }
}
