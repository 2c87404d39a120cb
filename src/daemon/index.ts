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
  Predecessor,
  SpawnLockOptions,
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
  return (await findReadyDaemon(options)) ?? (await rest()).ensureUnderLock(options);
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
