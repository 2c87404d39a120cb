import { resolve } from 'node:path';
import { SupervisorError } from '../errors.ts';
import type { Supervisor } from '../index.ts';
import { systemOs } from '../os/system.ts';
import { contentOf } from '../store/pid-file.ts';
import { findReadyDaemon } from './find.ts';
import { inspectInThisTick, inspectPidFile, publicContent } from './inspect.ts';
import { fullLog } from './log-limit.ts';
import type {
  DaemonOptions,
  DaemonReport,
  DaemonStatus,
  DaemonStopReport,
  PidFileContent,
  PidFileDetails,
  PidFileState,
  SpawnLockOptions,
  StopDaemonOptions,
} from './options.ts';
import type { Daemon, RunAsDaemonOptions } from './run.ts';
import type { SpawnLock } from './spawn-lock.ts';

export type { Ready, ReadyContext } from '../ready/ready.ts';
export type {
  DaemonOptions,
  DaemonReport,
  DaemonStatus,
  DaemonStopReport,
  PidFileContent,
  PidFileDetails,
  PidFileFields,
  PidFileState,
  Predecessor,
  SpawnLockOptions,
  StopDaemonOptions,
} from './options.ts';
export type { Daemon, RunAsDaemonOptions } from './run.ts';
export type { SpawnLock } from './spawn-lock.ts';

/*
 * Launchers are often hooks that run at every keystroke. This module therefore imports only what finding a
 * ready daemon needs. Everything else, with the main entry, is imported when it is first called.
 */
const rest = () => import('./rest.ts');

/**
 * Starts a detached daemon unless it runs already, and resolves when it is ready. A daemon of another
 * version is ended first. Of many concurrent calls, one starts the daemon, and all resolve. A daemon that
 * is still starting when `timeoutMs` are over goes on, within its `bootMs`: `data.state` of the error is
 * `warming` then.
 *
 * @throws SupervisorError `INVALID_OPTIONS`, `COMMAND_NOT_FOUND`, `CWD_NOT_FOUND`, `SPAWN_FAILED`,
 * `READY_TIMEOUT`, `CIRCUIT_OPEN`, `ALREADY_RUNNING`, `STATE_DIR_UNSAFE` or `ABORTED`, by rejection; no
 * process that this call has started is left then but a daemon that is warming, and no other was touched
 *
 * @example
 * ```ts
 * const { pid } = await ensureDaemon({
 *   name: 'indexer',
 *   command: process.execPath,
 *   args: ['/opt/indexer/daemon.js'],
 *   pidFile: '/home/ada/.local/state/indexer/indexer.pid',
 *   ready: { port: 7433 },
 * });
 * ```
 */
export async function ensureDaemon(options: DaemonOptions): Promise<DaemonReport> {
  const found = await findReadyDaemon(options);
  if (found === undefined) return (await rest()).ensureUnderLock(options);
  const log = fullLog(options);
  if (log !== undefined) await (await rest()).rotateLog(log.path, log.maxBytes, systemOs());
  return found;
}

/**
 * Ends a daemon and its whole process tree, and removes its pid file. The daemon gets SIGTERM and 10 s to
 * end what it supervises. Resolves when all of it is seen dead, and at once if no daemon runs.
 *
 * @throws SupervisorError `ALREADY_RUNNING` if it cannot be judged, does not die or has started the caller,
 * `READY_TIMEOUT` if a launcher holds the spawn lock, `ABORTED` or `INVALID_OPTIONS`, by rejection
 */
export async function stopDaemon(
  pidFile: string,
  options?: StopDaemonOptions,
): Promise<DaemonStopReport> {
  return (await rest()).stopDaemon(pidFile, options);
}

/**
 * Starts a daemon anew: one that runs is ended first, as by `stopDaemon`. No other launcher starts it in
 * between.
 *
 * @throws SupervisorError as `ensureDaemon` does, by rejection
 */
export async function restartDaemon(options: DaemonOptions): Promise<DaemonReport> {
  return (await rest()).restartDaemon(options);
}

/**
 * Looks at a daemon by its pid file, and at its failed launches. It starts and ends nothing, and asks the
 * daemon nothing.
 *
 * @throws SupervisorError `INVALID_OPTIONS`, by rejection
 */
export async function daemonStatus(pidFile: string): Promise<DaemonStatus> {
  return (await rest()).daemonStatus(pidFile);
}

/**
 * Makes this process the daemon: writes its pid file and ignores SIGHUP. On SIGTERM or SIGINT it stops the
 * supervisor, removes the pid file and lets the signal end this process.
 *
 * @throws SupervisorError `ALREADY_RUNNING` if another daemon lives, `STATE_DIR_UNSAFE` if the pid file
 * cannot be written, or `INVALID_OPTIONS`, by rejection
 */
export async function runAsDaemon(
  supervisor: Supervisor,
  options?: RunAsDaemonOptions,
): Promise<Daemon> {
  return (await rest()).runAsDaemon(supervisor, options);
}

/**
 * Reads a pid file and tells if its process is alive. Resolves to `alive` unless the process is proven
 * dead, and to `stale` if it is. A process is dead, too, if another one has its pid now. Resolves to
 * `missing` without a file, and to `invalid` for anything but a pid file of this user. A corrupt file is
 * moved to `PATH.corrupt`.
 *
 * @throws SupervisorError `INVALID_OPTIONS`, by rejection
 */
export async function validatePidFile(path: string): Promise<PidFileState> {
  const isPath = typeof path === 'string' && path !== '' && !path.includes('\0');
  const at = isPath ? path : (await rest()).checkPath(path, 'validatePidFile');
  return (await inspectPidFile(resolve(at), systemOs())).state;
}

/**
 * Tells if the process of a pid file is alive, in this tick. As `validatePidFile`, but no heartbeat is
 * heard, and a corrupt file stays. Where no single process can be read (macOS, Windows), `alive` may also
 * be another process with its pid.
 *
 * @throws SupervisorError `INVALID_OPTIONS`
 */
export function validatePidFileSync(path: string): PidFileState {
  return inspectInThisTick(resolve(pathOf(path)), systemOs()).state;
}

/**
 * Reads a pid file; `undefined` for one that is missing, or is none of this user's. It does not tell if the
 * process is alive.
 *
 * @throws SupervisorError `INVALID_OPTIONS`, by rejection
 */
export async function readPidFile(path: string): Promise<PidFileContent | undefined> {
  return readPidFileSync(path);
}

/**
 * Reads a pid file as `readPidFile` does, in this tick.
 *
 * @throws SupervisorError `INVALID_OPTIONS`
 */
export function readPidFileSync(path: string): PidFileContent | undefined {
  const file = contentOf(resolve(pathOf(path)), systemOs());
  return file && publicContent(file);
}

function pathOf(path: string): string {
  if (typeof path === 'string' && path !== '' && !path.includes('\0')) return path;
  throw new SupervisorError(
    'INVALID_OPTIONS',
    `"path" is ${JSON.stringify(path)}, but must be the path of a pid file. Correct it; it has no default.`,
    { data: { field: 'path', value: String(path) } },
  );
}

/**
 * Writes the pid file of this process, whole or not at all. A stale pid file is replaced.
 *
 * @throws SupervisorError `ALREADY_RUNNING` if it belongs to another living process, `STATE_DIR_UNSAFE` if
 * it cannot be written, or `INVALID_OPTIONS`, by rejection
 */
export async function writePidFile(path: string, details?: PidFileDetails): Promise<void> {
  return (await rest()).writePidFile(path, details);
}

/**
 * Removes the pid file of this process, and never that of another process. A file that a successor has just
 * written stays, too. Resolves to `true` if the file was removed.
 *
 * @throws SupervisorError `INVALID_OPTIONS`, by rejection
 */
export async function removePidFile(path: string): Promise<boolean> {
  return (await rest()).removePidFile(path);
}

/**
 * Removes the pid file of a dead process, with its socket, after what the process has left is ended.
 * Resolves to `true` if it did, and to `false` if the process may be alive.
 *
 * @throws SupervisorError `READY_TIMEOUT` if a launcher holds the spawn lock, `ALREADY_RUNNING` if what is
 * left does not die, `ABORTED` or `INVALID_OPTIONS`, by rejection
 */
export async function removeStalePidFile(
  path: string,
  options?: StopDaemonOptions,
): Promise<boolean> {
  return (await rest()).removeStalePidFile(path, options);
}

/**
 * Waits until no other process holds the lock at `path`, and takes it. The lock of a dead holder is taken
 * over. In a read-only folder it resolves to a lock that is not `held`.
 *
 * @throws SupervisorError `READY_TIMEOUT` naming the holder, `ABORTED`, `STATE_DIR_UNSAFE` if its folder
 * does not exist, or `INVALID_OPTIONS`, by rejection
 */
export async function acquireSpawnLock(
  path: string,
  options?: SpawnLockOptions,
): Promise<SpawnLock> {
  return (await rest()).acquireSpawnLock(path, options);
}
