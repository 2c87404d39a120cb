import type { Ready } from '../ready/ready.ts';

/** Which daemon has to run, and how to start it if it does not. */
export interface DaemonOptions {
  /** What it is called in errors and in its pid file. */
  name: string;
  /** The program, looked for in `PATH`, or in `cwd` if it is a relative path. */
  command: string;
  args?: readonly string[] | undefined;
  /** Its whole environment before sanitizing. Default: the caller's own. */
  env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Default: the pid file's folder, so that no folder of a caller's is held. */
  cwd?: string | undefined;
  /** The file by which it is found. Its folder is made if there is none. */
  pidFile: string;
  ready: Ready;
  /** Which version has to run; another one is ended first. Default: any. */
  version?: string | undefined;
  /** Where it writes; `null` for nowhere. Default: the pid file's path with `.log` instead of `.pid`. */
  logFile?: string | null | undefined;
  /**
   * How long this call waits, for the spawn lock and for readiness together; a daemon that is still
   * starting then is left alone. @default 30_000
   */
  timeoutMs?: number | undefined;
  /**
   * How long the daemon may take from its start until it is ready, whoever waits; then it is ended.
   * @default 60_000
   */
  bootMs?: number | undefined;
  /** Gives up; what this call has started is ended. */
  signal?: AbortSignal | undefined;
}

/** The daemon that runs. */
export interface DaemonReport {
  readonly pid: number;
  /** Whether this call has started it. */
  readonly started: boolean;
  readonly version?: string;
}

/** What a pid file tells of a daemon besides its identity. */
export interface PidFileDetails {
  name?: string | undefined;
  /** Which version it is. */
  version?: string | undefined;
  /** The socket that it listens on: removed with a stale pid file. */
  socket?: string | undefined;
}

/** How a spawn lock is waited for. */
export interface SpawnLockOptions {
  /** How long another's lock is waited for. @default 30_000 */
  timeoutMs?: number | undefined;
  /** Gives up waiting. */
  signal?: AbortSignal | undefined;
}
