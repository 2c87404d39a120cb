import { readerOf } from '../containment/judge.ts';
import { ownIdentity } from '../containment/recorded-process.ts';
import { SupervisorError } from '../index.ts';
import type { Os } from '../os/os.ts';
import { PID_FILE_VERSION, type PidFile } from '../store/pid-record.ts';
import type { Predecessor } from './options.ts';

/**
 * Finds the predecessor that the caller has proven; `undefined` if none runs. The result has its start
 * time, by which it is judged again before each signal.
 */
export async function findPredecessor(
  predecessor: Predecessor,
  os: Os,
): Promise<PidFile | undefined> {
  const pid = await pidOf(predecessor);
  const entry = pid === undefined ? undefined : (await readerOf(os))(pid);
  if (!entry?.alive || pid === os.identify().pid) return undefined;
  const { command } = entry;
  if (!(await predecessor.prove({ pid: entry.pid, command }))) return undefined;
  const { machine, bootId, pidNamespace } = await ownIdentity(os);
  const identity = { machine, bootId, pidNamespace, pid: entry.pid, startTime: entry.startTime };
  return { version: PID_FILE_VERSION, ...identity };
}

async function pidOf(predecessor: Predecessor): Promise<number | undefined> {
  const pid = await readPid(predecessor);
  if (pid === undefined || (Number.isSafeInteger(pid) && pid > 1)) return pid;
  throw new SupervisorError(
    'INVALID_OPTIONS',
    `ensureDaemon: "predecessor.pid" returned ${String(pid)}, but must return a pid above 1, or undefined if there is no predecessor.`,
    { data: { field: 'predecessor.pid', value: String(pid) } },
  );
}

/** A pid file that does not exist is no error: there is no predecessor then. */
async function readPid(predecessor: Predecessor): Promise<number | undefined> {
  try {
    return (await predecessor.pid()) ?? undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') return undefined;
    throw error;
  }
}
