import { resolve } from 'node:path';
import type { Supervisor } from '../index.ts';
import { systemOs } from '../os/system.ts';
import { findReadyDaemon } from './find.ts';
import { inspectPidFile, type PidFileState } from './inspect.ts';
import type { DaemonOptions, DaemonReport, PidFileDetails, SpawnLockOptions } from './options.ts';
import type { Daemon, RunAsDaemonOptions } from './run.ts';
import type { SpawnLock } from './spawn-lock.ts';

export type { Ready, ReadyContext } from '../ready/ready.ts';
export type { PidFileState } from './inspect.ts';
export type {
  DaemonOptions,
  DaemonReport,
  PidFileDetails,
  SpawnLockOptions,
} from './options.ts';
export type { Daemon, RunAsDaemonOptions } from './run.ts';
export type { SpawnLock } from './spawn-lock.ts';

/*
 * Launchers are hooks that run at every keystroke. What they need that find their daemon ready is
 * imported here; everything else, the main entry with it, only when it is asked for.
 */
const rest = () => import('./rest.ts');

/**
 * Starts a detached daemon if none runs, in place of one of another version, and resolves when it is
 * ready. Of many that call it at once, one starts it, and all resolve. A daemon that is still starting
 * when `timeoutMs` are over goes on, within its `bootMs`: the error's `data.state` is `warming` then.
 *
 * @throws SupervisorError `INVALID_OPTIONS`, `COMMAND_NOT_FOUND`, `CWD_NOT_FOUND`, `SPAWN_FAILED`,
 * `READY_TIMEOUT`, `CIRCUIT_OPEN`, `ALREADY_RUNNING`, `STATE_DIR_UNSAFE` or `ABORTED`, by rejection; then nothing that
 * this call has started is left but a daemon that is warming, and nothing else was touched
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
  return (await findReadyDaemon(options)) ?? (await rest()).ensureUnderLock(options);
}

/**
 * Makes this process the daemon: writes its pid file, ignores SIGHUP, and on SIGTERM or SIGINT stops the
 * supervisor, removes the file and dies of the signal.
 *
 * @throws SupervisorError `ALREADY_RUNNING` if another one lives, `STATE_DIR_UNSAFE` if the pid file
 * cannot be written, or `INVALID_OPTIONS`, by rejection
 */
export async function runAsDaemon(
  supervisor: Supervisor,
  options?: RunAsDaemonOptions,
): Promise<Daemon> {
  return (await rest()).runAsDaemon(supervisor, options);
}

/**
 * Tells what a pid file is worth: `alive` unless its process is proven dead, `stale` if that is or its
 * number is somebody else's now, `invalid` for what is no pid file of this user's. A corrupt file is
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
 * Writes the pid file of this process, whole or not at all; a stale one gives way.
 *
 * @throws SupervisorError `ALREADY_RUNNING` if it is another living process's, `STATE_DIR_UNSAFE` if it
 * cannot be written, or `INVALID_OPTIONS`, by rejection
 */
export async function writePidFile(path: string, details?: PidFileDetails): Promise<void> {
  return (await rest()).writePidFile(path, details);
}

/**
 * Removes the pid file of this process, and no other's: not even a successor's that has come in the
 * moment before. Resolves to whether it did.
 *
 * @throws SupervisorError `INVALID_OPTIONS`, by rejection
 */
export async function removePidFile(path: string): Promise<boolean> {
  return (await rest()).removePidFile(path);
}

/**
 * Waits until nobody else holds the lock at `path`, and takes it. A dead holder's is taken over; in a
 * folder that cannot be written it resolves to one that is not `held`.
 *
 * @throws SupervisorError `READY_TIMEOUT` naming the holder, `ABORTED`, `STATE_DIR_UNSAFE` for a folder
 * that is none, or `INVALID_OPTIONS`, by rejection
 */
export async function acquireSpawnLock(
  path: string,
  options?: SpawnLockOptions,
): Promise<SpawnLock> {
  return (await rest()).acquireSpawnLock(path, options);
}
