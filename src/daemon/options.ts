import type { Ready } from '../ready/ready.ts';
import type { ProcessName } from '../reports.ts';

/** The state of a pid file. */
export type PidFileState = 'missing' | 'alive' | 'stale' | 'invalid';

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
   * Size above which the log file is begun anew, in bytes; the earlier one is kept as `LOGFILE.1`.
   * `null` for no limit. @default 10_485_760
   */
  logMaxBytes?: number | null | undefined;
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
  /** The daemon's own fields in its pid file. */
  readonly fields?: PidFileFields;
}

/** A daemon's own fields in its pid file, such as its port. At most 32, with names of letters and digits. */
export type PidFileFields = Readonly<Record<string, string | number | boolean>>;

/** The content of a pid file, without what identifies the process. */
export interface PidFileContent {
  readonly pid: number;
  readonly name?: string;
  readonly version?: string;
  readonly socket?: string;
  readonly fields?: PidFileFields;
}

/** The state of a daemon, by its pid file. */
export interface DaemonStatus extends Partial<PidFileContent> {
  /** As `validatePidFile` judges it. */
  readonly state: PidFileState;
  /** `true` while no launcher has seen the live daemon ready. */
  readonly isWarming: boolean;
  /** The reason why the process could be proven neither alive nor dead. */
  readonly doubt?: string;
  /** Failed launches in a row. */
  readonly failedLaunches: number;
  /** Time until the next start is possible; 0 if it may be tried. */
  readonly retryInMs: number;
}

/** Options of `stopDaemon` and `removeStalePidFile`. */
export interface StopDaemonOptions {
  /** Longest wait for the spawn lock, in ms. @default 30_000 */
  timeoutMs?: number | undefined;
  /** Aborts the wait. */
  signal?: AbortSignal | undefined;
}

/** The result of `stopDaemon`. */
export interface DaemonStopReport {
  /** `true` if a live daemon was ended. */
  readonly stopped: boolean;
  /** The daemon's pid, if it was alive. */
  readonly pid?: number;
}

/** Details of a daemon in its pid file, besides its identity. */
export interface PidFileDetails {
  name?: string | undefined;
  /** Version of the daemon. */
  version?: string | undefined;
  /** The socket that the daemon listens on. It is removed with a stale pid file. */
  socket?: string | undefined;
  /** Fields of the daemon's own. */
  fields?: PidFileFields | undefined;
}

/** Options of the wait for a spawn lock. */
export interface SpawnLockOptions {
  /** Longest wait for the lock of another process, in ms. @default 30_000 */
  timeoutMs?: number | undefined;
  /** Aborts the wait. */
  signal?: AbortSignal | undefined;
}
