import type { SupervisorError } from './errors.ts';

/** The cause of a process's end. The first cause wins, and is set before the signal is sent. */
export type ExitCause =
  | 'completed'
  | 'failed'
  | 'crashed'
  | 'terminated'
  | 'aborted'
  | 'reaped'
  | 'wall-clock'
  | 'startup'
  | 'idle'
  | 'memory'
  | 'lifetime'
  | 'budget'
  | 'duplicate'
  | 'shutdown'
  | 'disowned'
  | 'not-started';

/** The name of a process in a report: enough to find it, and no secret. */
export interface ProcessName {
  readonly pid: number;
  /** The program's name as the kernel knows it, without its arguments. */
  readonly command: string;
}

/** The end of one supervised process and of its tree. */
export interface ExitReport {
  /** The id of the process's record. */
  readonly id: string;
  /** `undefined` if nothing was started. */
  readonly pid: number | undefined;
  readonly kind: string;
  readonly sessionId: string | undefined;
  /** The exit code; `null` if a signal ended the process. */
  readonly code: number | null;
  /** The signal that ended the process; `null` if it exited. */
  readonly signal: NodeJS.Signals | null;
  readonly cause: ExitCause;
  /** `true` if the kernel killed the process for want of memory (Linux); the cause is `memory` then. */
  readonly oomKilled?: boolean;
  /** `true` if the supervisor, the caller or a polite signal asked for the end. Nothing is restarted then. */
  readonly intentional: boolean;
  /** `true` if the process or a descendant needed SIGKILL. */
  readonly forced: boolean;
  /** Time from the start of the process to the death of its whole tree. */
  readonly durationMs: number;
  /** The part of `durationMs` in which host or machine stood still, in gaps of more than 2 s. */
  readonly pausedMs: number;
  /** The last lines of stderr, with secrets redacted. */
  readonly stderrTail: string;
  /** Descendants that were still alive when the process exited by itself. */
  readonly leftovers: readonly ProcessName[];
  /** The result of its `cleanup`; absent without one. */
  readonly cleanup?: 'done' | 'failed';
  /** The error, if the process was not started. */
  readonly error?: SupervisorError;
}

/** A process of a supervised tree that was still alive at the deadline. */
export interface Survivor extends ProcessName {
  /** The id of the record whose tree it belongs to. */
  readonly id: string;
  readonly sessionId: string | undefined;
}

/** A process that may be a supervised one, but could not be proven to be, and was left alone. */
export interface Unproven {
  /** `undefined` if the pid could not be read either. */
  readonly pid: number | undefined;
  readonly reason: string;
}

/** The result of `stop`, `reapSession` and `terminate`. */
export interface EndReport {
  readonly ended: readonly ExitReport[];
  readonly survivors: readonly Survivor[];
  readonly unproven: readonly Unproven[];
  readonly durationMs: number;
}

/** A process whose host is dead, or whose supervised process has exited. */
export interface Orphan extends ProcessName {
  readonly id: string;
  readonly reason: string;
}

/** A live process that was started to outlive its host; `adopt({ id })` takes it over. */
export interface KeptProcess extends ProcessName {
  readonly id: string;
  readonly kind: string;
  readonly sessionId: string | undefined;
  readonly cwd: string;
  /** Wall clock, ms since 1970. */
  readonly startedAt: number;
  /** `true` if its host has let it go. */
  readonly disowned?: true;
}

/** The result of a sweep of the state directory and the process table. */
export interface SweepReport extends EndReport {
  /** The dead owners whose journals were cleaned up and removed. */
  readonly recovered: readonly string[];
  /** Number of their records whose processes are gone. */
  readonly forgotten: number;
  /** Every process that was ended as an orphan; in a dry run, that would be. */
  readonly orphans: readonly Orphan[];
  /**
   * Every removed file; in a dry run, that would be removed. These are pid files of dead processes with
   * their sockets, and old records of restarts.
   */
  readonly removed: readonly string[];
  /** Processes that outlive their host on purpose, of all hosts. */
  readonly kept: readonly KeptProcess[];
}

/** The inherited resource limit that marks processes, to find those that clear their environment (Linux). */
export interface RlimitTagReport {
  /** With `off`, processes are found only by the cookie in their environment. */
  readonly limit: 'locks' | 'rss' | 'rttime' | 'off';
  /** The reason why it is not `locks`; `undefined` if it is. */
  readonly reason: string | undefined;
}

/** The result of `start`, with that of its sweep. */
export interface StartReport extends SweepReport {
  /** The path of the state directory. */
  readonly stateDir: string;
  readonly rlimitTag: RlimitTagReport;
}

/**
 * The bound for which a request waits.
 *
 * `start`: the supervisor is not open yet. `pause`: the pool is paused. `key`: one of its keys is held
 * often enough. `starting`: enough of its kind are starting. `slot`: all slots are held. `machine`: the
 * machine has no slot for it. `condition`: it needs room below the hard cap, or its conversation.
 */
export type WaitCause = 'start' | 'pause' | 'key' | 'starting' | 'slot' | 'machine' | 'condition';

/** The bound for which a request waits, and the key or kind that it bounds. */
export interface WaitsFor {
  readonly cause: WaitCause;
  readonly name: string | undefined;
}

/** The pause of a pool. */
export interface PoolPause {
  readonly reason: string;
  /** Wall clock, ms since 1970. */
  readonly since: number;
  /** Wall clock, ms since 1970; `undefined` until `resume` is called. */
  readonly until: number | undefined;
}

/** A live process, as `list` returns it. */
export interface ProcessInfo extends ProcessName {
  readonly id: string;
  readonly kind: string;
  readonly sessionId: string | undefined;
  readonly cwd: string;
  /** Wall clock, ms since 1970. */
  readonly startedAt: number;
  /**
   * `exited`: the process itself is dead, but a descendant is still alive. `disowned`: it was let go, and it
   * or a descendant is alive.
   */
  readonly state: 'running' | 'ending' | 'exited' | 'disowned';
  readonly holdsSlot: boolean;
  /** The keys under which the pool counts it. */
  readonly keys: readonly string[];
}

/** The end of a session's last process. */
export interface SessionEnd {
  /** Wall clock, ms since 1970. */
  readonly at: number;
  readonly cause: ExitCause;
}

/** A session, as `session` returns it, from all hosts of the state directory. */
export interface SessionInfo {
  readonly id: string;
  /** Wall clock, ms since 1970: the time of the first request. */
  readonly createdAt: number;
  /** Measured by the monotonic clock within a boot. */
  readonly ageMs: number;
  /** Longest duration; `null` is unlimited. */
  readonly maxWallClockMs: number | null;
  readonly expired: boolean;
  /** Number of processes started for it so far. */
  readonly processes: number;
  /** Number of its live processes in this host. */
  readonly live: number;
  readonly lastEnd: SessionEnd | undefined;
  /** The costs that all hosts have charged to it. */
  readonly spent: { readonly usd: number; readonly tokens: number };
}

/** A live process with memory and CPU of its tree, as `inspect` measures them. */
export interface ProcessInspection extends ProcessInfo {
  readonly ageMs: number;
  readonly descendants: readonly ProcessName[];
  /** Memory of the whole tree; shared pages count once for each process. */
  readonly rssBytes: number;
  /** CPU of the whole tree, in percent of one core. */
  readonly cpuPercent: number;
}
