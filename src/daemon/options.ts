import type { Ready } from '../ready/ready.ts';
import type { ProcessName } from '../reports.ts';

/** Options of `ensureDaemon`: the daemon that has to run, and the command that starts it. */
export interface DaemonOptions {
  /** Name of the daemon in errors and in its pid file. */
  name: string;
  /** The program, found in `PATH`, or in `cwd` if it is a relative path. */
  command: string;
  args?: readonly string[] | undefined;
  /** The daemon's whole environment before sanitizing. Default: the caller's own. */
  env?: Readonly<Record<string, string | undefined>> | undefined;
  /**
   * Working folder. Default: the pid file's folder, so that the daemon keeps no folder of its caller in
   * use.
   */
  cwd?: string | undefined;
  /** The file by which the daemon is found. Its folder is created if it does not exist. */
  pidFile: string;
  ready: Ready;
  /** The version that has to run; a daemon of another version is ended first. Default: any. */
  version?: string | undefined;
  /**
   * File for stdout and stderr; `null` for none. Default: the pid file's path with `.log` instead of
   * `.pid`.
   */
  logFile?: string | null | undefined;
  /**
   * Longest wait of this call for the spawn lock and the readiness together, in ms. A daemon that is
   * still starting then is left alone. @default 30_000
   */
  timeoutMs?: number | undefined;
  /**
   * Longest time from the daemon's start until it is ready, in ms; then it is ended. @default 60_000
   */
  bootMs?: number | undefined;
  /**
   * A worker of earlier code, with a pid file of its own format, that the daemon replaces. It is ended
   * before the daemon starts, as a daemon of another version is.
   */
  predecessor?: Predecessor | undefined;
  /** Aborts the call; a daemon that it has started is ended. */
  signal?: AbortSignal | undefined;
}

/** The worker that a daemon replaces. Its pid file is left to its own tools. */
export interface Predecessor {
  /** Returns its pid; `undefined` if there is none. An error with the code `ENOENT` says the same. */
  pid(): number | undefined | Promise<number | undefined>;
  /**
   * Proves that this live process is the predecessor; only then it is ended. Its start time is read
   * before this call, and compared before each signal.
   */
  prove(process: ProcessName): boolean | Promise<boolean>;
}

/** The running daemon. */
export interface DaemonReport {
  readonly pid: number;
  /** `true` if this call has started the daemon. */
  readonly started: boolean;
  readonly version?: string;
}

/** Details of a daemon in its pid file, besides its identity. */
export interface PidFileDetails {
  name?: string | undefined;
  /** Version of the daemon. */
  version?: string | undefined;
  /** The socket that the daemon listens on. It is removed with a stale pid file. */
  socket?: string | undefined;
}

/** Options of the wait for a spawn lock. */
export interface SpawnLockOptions {
  /** Longest wait for the lock of another process, in ms. @default 30_000 */
  timeoutMs?: number | undefined;
  /** Aborts the wait. */
  signal?: AbortSignal | undefined;
}
