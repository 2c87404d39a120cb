import type { SupervisorError } from './errors.ts';

/** Why a process ended; the first cause wins, and it is written before the signal is sent. */
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
  | 'not-started';

/** One process as a report names it: what an operator needs to find it, and no secret. */
export interface ProcessName {
  readonly pid: number;
  /** The program's name as the kernel knows it, without its arguments. */
  readonly command: string;
}

/** The end of one supervised process and of its tree. */
export interface ExitReport {
  /** The id of the process's record. */
  readonly id: string;
  /** `undefined` when nothing was started. */
  readonly pid: number | undefined;
  readonly kind: string;
  readonly sessionId: string | undefined;
  /** The exit code, `null` after a death by signal. */
  readonly code: number | null;
  /** The signal that ended the process, `null` after a normal exit. */
  readonly signal: NodeJS.Signals | null;
  readonly cause: ExitCause;
  /** Whether the end was asked for, by us, by the caller or by a polite signal: it restarts nothing. */
  readonly intentional: boolean;
  /** Whether SIGKILL was needed for the process or for any of its descendants. */
  readonly forced: boolean;
  /** From the start of the process to the observed death of its whole tree. */
  readonly durationMs: number;
  /** How much of that the host stood still, in gaps of more than 2 s: stopped, paused, or on a frozen machine. */
  readonly pausedMs: number;
  /** The last lines of stderr, secrets redacted. */
  readonly stderrTail: string;
  /** Descendants that were alive after the process had ended by itself. */
  readonly leftovers: readonly ProcessName[];
  /** Why the process was not started. */
  readonly error?: SupervisorError;
}

/** A process of a supervised tree that was still alive when the deadline came. */
export interface Survivor extends ProcessName {
  /** The id of the record whose tree it belongs to. */
  readonly id: string;
  readonly sessionId: string | undefined;
}

/** A process that looked like ours but could not be proven, and was left alone. */
export interface Unproven {
  /** `undefined` when not even that could be read. */
  readonly pid: number | undefined;
  readonly reason: string;
}

/** What `stop`, `reapSession` and `terminate` ended, and what they could not. */
export interface EndReport {
  readonly ended: readonly ExitReport[];
  readonly survivors: readonly Survivor[];
  readonly unproven: readonly Unproven[];
  readonly durationMs: number;
}

/** A process without a purpose: its host is dead, or the process it worked for has ended. */
export interface Orphan extends ProcessName {
  readonly id: string;
  readonly reason: string;
}

/** A process that was started to outlive its host, and does; `adopt({ id })` takes it over. */
export interface KeptProcess extends ProcessName {
  readonly id: string;
  readonly kind: string;
  readonly sessionId: string | undefined;
  readonly cwd: string;
  /** Wall clock, ms since 1970. */
  readonly startedAt: number;
}

/** What a look at the state directory and the process table found and did. */
export interface SweepReport extends EndReport {
  /** The dead owners whose journals were dealt with and removed. */
  readonly recovered: readonly string[];
  /** How many of their records were of processes that are gone. */
  readonly forgotten: number;
  /** Every process that was ended as an orphan, or would have been in a dry run. */
  readonly orphans: readonly Orphan[];
  /** The pid files of processes that are proven dead, with their sockets, and what told of restarts long ago: removed, or to be in a dry run. */
  readonly removed: readonly string[];
  /** What lives on by intention, whichever host started it. */
  readonly kept: readonly KeptProcess[];
}

/** By which inherited resource limit processes are found that have lost their environment (Linux). */
export interface RlimitTagReport {
  /** `off`: they are found by the cookie in their environment alone. */
  readonly limit: 'locks' | 'rss' | 'rttime' | 'off';
  /** Why it is not `locks`; `undefined` where it is. */
  readonly reason: string | undefined;
}

/** What `start` found and did. */
export interface StartReport extends SweepReport {
  /** Where the registry is. */
  readonly stateDir: string;
  readonly rlimitTag: RlimitTagReport;
}

/** One live process, as `list` shows it. */
export interface ProcessInfo extends ProcessName {
  readonly id: string;
  readonly kind: string;
  readonly sessionId: string | undefined;
  readonly cwd: string;
  /** Wall clock, ms since 1970. */
  readonly startedAt: number;
  /** `exited`: the process itself is dead, its tree is not yet. */
  readonly state: 'running' | 'ending' | 'exited';
  readonly holdsSlot: boolean;
}

/** How the last process of a session ended. */
export interface SessionEnd {
  /** Wall clock, ms since 1970. */
  readonly at: number;
  readonly cause: ExitCause;
}

/** One session, as `session` shows it: what all hosts of the state directory know of it. */
export interface SessionInfo {
  readonly id: string;
  /** Wall clock, ms since 1970: set once, when the first process was asked for. */
  readonly createdAt: number;
  /** By the clock that no one can set, within a boot. */
  readonly ageMs: number;
  /** How long it may last; `null` is without end. */
  readonly maxWallClockMs: number | null;
  readonly expired: boolean;
  /** How many processes were started for it so far. */
  readonly processes: number;
  /** How many of them live in this host. */
  readonly live: number;
  readonly lastEnd: SessionEnd | undefined;
  /** What its hosts have charged it with. */
  readonly spent: { readonly usd: number; readonly tokens: number };
}

/** One live process with what its tree costs, as `inspect` measures it. */
export interface ProcessInspection extends ProcessInfo {
  readonly ageMs: number;
  readonly descendants: readonly ProcessName[];
  /** Of the whole tree; shared pages count once for each process. */
  readonly rssBytes: number;
  /** Of the whole tree, in percent of one core. */
  readonly cpuPercent: number;
}
