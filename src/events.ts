import type { SupervisorError } from './errors.ts';
import type { ExitCause, ExitReport, ProcessName, Survivor, SweepReport } from './reports.ts';

/** What an event says of the process it is about. */
export interface ProcessSubject {
  readonly id: string;
  readonly kind: string;
  readonly sessionId: string | undefined;
}

/**
 * What a service is at: `waiting` for its next restart, `open` when it has failed too often and nothing
 * is started, `half-open` when one start may show whether it works again.
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

/** Every event a supervisor emits, with what it carries. */
export interface SupervisorEvents {
  /** A process is asked for: emitted within the call that asks, before `queued`, `started` or `refused`. */
  readonly requested: ProcessSubject;
  /** A request waits for a slot. */
  readonly queued: ProcessSubject & { readonly waiting: number };
  /** A request has waited for another minute; `holders` are the ids of what holds the slots. */
  readonly waiting: ProcessSubject & {
    readonly waitedMs: number;
    readonly holders: readonly string[];
  };
  /** A process runs, and its record is written. */
  readonly started: ProcessSubject & { readonly pid: number };
  /** A process that somebody else had started is supervised from now on. */
  readonly adopted: ProcessSubject & { readonly pid: number };
  /** A request was refused; nothing was started. */
  readonly refused: ProcessSubject & { readonly error: SupervisorError };
  /** We begin to end a process. */
  readonly ending: ProcessSubject & {
    readonly pid: number;
    readonly cause: ExitCause;
    readonly reason: string | undefined;
  };
  /** Descendants outlived their process; `advice` tells how to keep such processes. */
  readonly leftovers: ProcessSubject & {
    readonly processes: readonly ProcessName[];
    readonly action: 'terminate' | 'keep';
    readonly advice: string;
  };
  /** Processes could not be ended in time; their slot stays held until they are seen dead. */
  readonly survivors: ProcessSubject & { readonly survivors: readonly Survivor[] };
  /** A process and its whole tree are gone. */
  readonly exited: ExitReport;
  /** A session has lasted longer than it may: what waits for it is refused, and by default what runs is ended. */
  readonly 'session-expired': {
    readonly sessionId: string;
    readonly createdAt: number;
    readonly ageMs: number;
    readonly maxWallClockMs: number;
    readonly live: number;
  };
  /** A process of a run has crashed; the next attempt is made in `delayMs`. */
  readonly restarting: {
    readonly sessionId: string | undefined;
    readonly name: string | undefined;
    /** 2 for the first restart. */
    readonly attempt: number;
    readonly delayMs: number;
    readonly after: ExitReport;
  };
  /** A service of this host goes from one state to the next. */
  readonly service: {
    readonly name: string;
    readonly from: ServiceState;
    readonly state: ServiceState;
    /** Of its process, where there is one. */
    readonly pid: number | undefined;
    /** Why, where it is not plain. */
    readonly reason: string | undefined;
  };
  /** The state directory and the process table were looked at. */
  readonly swept: SweepReport;
  /** Something to know that stopped nothing; one that nobody listens for goes to `process.emitWarning`, once per code. */
  readonly warning: { readonly code: string; readonly message: string; readonly cause?: unknown };
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
  'stopping',
  'stopped',
] as const satisfies SupervisorEvent[];

/** Tells who listens of an event. */
export type Emit = <E extends SupervisorEvent>(event: E, detail: SupervisorEvents[E]) => void;
