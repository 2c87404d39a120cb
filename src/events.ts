import type { SupervisorError } from './errors.ts';
import type {
  ExitCause,
  ExitReport,
  ProcessName,
  Survivor,
  SweepReport,
  WaitsFor,
} from './reports.ts';

/** The process that an event is about. */
export interface ProcessSubject {
  readonly id: string;
  readonly kind: string;
  readonly sessionId: string | undefined;
}

/**
 * The state of a service.
 *
 * `waiting`: for its next restart. `open`: it has failed too often, and nothing is started. `half-open`:
 * one start is tried, to see if it works again.
 */
export type ServiceState =
  | 'idle'
  | 'starting'
  | 'ready'
  | 'waiting'
  | 'open'
  | 'half-open'
  | 'closing'
  | 'closed';

/** The events of a supervisor, with their payloads. */
export interface SupervisorEvents {
  /** A process was requested. Emitted within that call, before `queued`, `started` or `refused`. */
  readonly requested: ProcessSubject;
  /**
   * A request waits, for what `reason` says. `waiting` requests do in all.
   *
   * `waitsFor` is `undefined` for one that has its slot and waits for its conversation.
   */
  readonly queued: ProcessSubject & {
    readonly waiting: number;
    readonly waitsFor: WaitsFor | undefined;
    /** Explains in a clause why it waits. */
    readonly reason: string;
  };
  /**
   * A request has waited for another minute; `holders` are the ids of the processes that hold what it waits for.
   *
   * If some of these are of its own session, it is emitted after 5 s too.
   */
  readonly waiting: ProcessSubject & {
    readonly waitedMs: number;
    readonly waitsFor: WaitsFor | undefined;
    readonly holders: readonly string[];
    /** The holders of the request's own session: one may be waiting for the request itself. */
    readonly ofSession: readonly string[];
    /** Explains in a clause why it waits. */
    readonly reason: string;
  };
  /** A process was started, and its record is written. */
  readonly started: ProcessSubject & { readonly pid: number };
  /** A process that this host had not started is supervised from now on. */
  readonly adopted: ProcessSubject & { readonly pid: number };
  /** A request was refused; nothing was started. */
  readonly refused: ProcessSubject & { readonly error: SupervisorError };
  /** The supervisor begins to end a process. */
  readonly ending: ProcessSubject & {
    readonly pid: number;
    readonly cause: ExitCause;
    readonly reason: string | undefined;
  };
  /** Descendants outlived their process; `advice` says how to keep such processes. */
  readonly leftovers: ProcessSubject & {
    readonly processes: readonly ProcessName[];
    readonly action: 'terminate' | 'keep';
    readonly advice: string;
  };
  /** Processes could not be ended in time; their slot stays held until they are dead. */
  readonly survivors: ProcessSubject & { readonly survivors: readonly Survivor[] };
  /** A process and its whole tree are dead. */
  readonly exited: ExitReport;
  /**
   * A session has reached its `maxWallClockMs`. Its waiting requests are refused, and by default its
   * processes are ended.
   */
  readonly 'session-expired': {
    readonly sessionId: string;
    readonly createdAt: number;
    readonly ageMs: number;
    readonly maxWallClockMs: number;
    readonly live: number;
  };
  /** A process of a run has crashed; the next attempt starts after `delayMs`. */
  readonly restarting: {
    readonly sessionId: string | undefined;
    readonly name: string | undefined;
    /** The number of the next attempt: 2 for the first restart. */
    readonly attempt: number;
    readonly delayMs: number;
    readonly after: ExitReport;
  };
  /** A service of this host has changed its state. */
  readonly service: {
    readonly name: string;
    readonly from: ServiceState;
    readonly state: ServiceState;
    /** The pid of its process, if it has one. */
    readonly pid: number | undefined;
    /** The reason, where the states do not show it. */
    readonly reason: string | undefined;
  };
  /** A sweep of the state directory and the process table is done. */
  readonly swept: SweepReport;
  /**
   * A problem that stopped nothing. Without a listener it goes to `process.emitWarning`, once per code.
   */
  readonly warning: { readonly code: string; readonly message: string; readonly cause?: unknown };
  /** The pool grants no more slots. `until` is wall clock, in ms since 1970; `undefined` until `resume`. */
  readonly 'pool-paused': { readonly reason: string; readonly until: number | undefined };
  /** The pool grants slots again. */
  readonly 'pool-resumed': { readonly reason: string; readonly pausedMs: number };
  readonly stopping: { readonly reason: string | undefined };
  readonly stopped: { readonly durationMs: number };
}

export type SupervisorEvent = keyof SupervisorEvents;

/** @internal */
export const EVENTS = [
  'requested',
  'queued',
  'waiting',
  'started',
  'adopted',
  'refused',
  'ending',
  'leftovers',
  'survivors',
  'exited',
  'session-expired',
  'restarting',
  'service',
  'swept',
  'warning',
  'pool-paused',
  'pool-resumed',
  'stopping',
  'stopped',
] as const satisfies SupervisorEvent[];

/** Tells who listens of an event. */
export type Emit = <E extends SupervisorEvent>(event: E, detail: SupervisorEvents[E]) => void;
