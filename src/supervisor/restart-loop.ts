import type { Readable } from 'node:stream';
import { SupervisorError } from '../errors.ts';
import type { SupervisorEvents } from '../events.ts';
import { type Clock, queueMicrotask, turnOfLoop } from '../os/clock.ts';
import {
  decideRestart,
  ENDS_KEPT,
  type RestartPolicy,
  type RunOutcome,
} from '../policy/restart-policy.ts';
import type { ExitReport } from '../reports.ts';
import type { RestartBudget } from '../store/restart-log.ts';

/** The argument of a run's function that starts its process. */
export interface RunAttempt {
  /** 1 for the first. */
  readonly attempt: number;
  /** The run's own: what belongs to the run and is given this ends with it. */
  readonly signal: AbortSignal;
  /** The report of the attempt before. */
  readonly last: ExitReport | undefined;
}

/** The result of a run. */
export interface RunReport {
  readonly outcome: RunOutcome;
  /** The reports of its processes, oldest first; of a long run the last 100. */
  readonly reports: readonly ExitReport[];
  /** The number of restarts by this host. */
  readonly restarts: number;
}

/** A process that is started again when it crashes. */
export interface Run {
  /**
   * Aborted when the run is to end.
   *
   * Causes are `stop`, the run's own signal, the end of its session, or a signal to its process from outside.
   */
  readonly signal: AbortSignal;
  /** Resolves when the run is over; rejects only with what the attempt itself throws. */
  readonly done: Promise<RunReport>;
  /** Ends the process and starts no other. */
  stop(): Promise<RunReport>;
}

/** @internal The parts of a process that a run needs. */
export interface AttemptProcess {
  readonly id: string;
  readonly killed: boolean;
  readonly stdout: Readable;
  readonly started: Promise<void>;
  readonly exited: Promise<ExitReport>;
  once(event: 'exit', listener: () => void): void;
  terminate(): Promise<unknown>;
}

/** @internal The restarts of a run without a name: nobody asks for them when its host is gone. */
export function budgetInMemory(): RestartBudget {
  const restartedAt: number[] = [];
  return { read: () => restartedAt, add: (at) => restartedAt.push(at) };
}

/** @internal */
export interface RunContext {
  readonly name: string | undefined;
  readonly sessionId: string | undefined;
  readonly policy: RestartPolicy;
  readonly budget: RestartBudget;
  readonly clock: Clock;
  /** The caller's. */
  readonly signal: AbortSignal | undefined;
  random(): number;
  attempt(attempt: RunAttempt): AttemptProcess | PromiseLike<AttemptProcess>;
  /** Tells if this host has asked for the end of a process; known until its exit has been told. */
  wasAsked(id: string): boolean;
  restarting(event: SupervisorEvents['restarting']): void;
  /** It is over. */
  ended(): void;
}

interface End {
  readonly report: ExitReport;
  /** This host asked for it. */
  readonly asked: boolean;
}

/** @internal One process at a time, and the next one when it has crashed. */
export class SupervisedRun implements Run {
  readonly done: Promise<RunReport>;
  readonly #context: RunContext;
  readonly #controller = new AbortController();
  readonly #ends: ExitReport[] = [];
  readonly #settle: PromiseWithResolvers<RunReport>;
  #restarts = 0;
  #process: AttemptProcess | undefined;
  /** Why it starts nothing more. */
  #over: unknown;
  #wake: () => void = () => undefined;

  constructor(context: RunContext) {
    this.#context = context;
    this.#settle = Promise.withResolvers();
    this.done = this.#settle.promise;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The session of the run: as it was told, or else as its process was. */
  get sessionId(): string | undefined {
    return this.#context.sessionId ?? this.#ends.at(-1)?.sessionId;
  }

  /** Makes the first attempt, in this tick. */
  begin(): void {
    const { signal, ended } = this.#context;
    const onAbort = () => this.abort(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted) onAbort();
    const over = () => {
      signal?.removeEventListener('abort', onAbort);
      ended();
    };
    this.#run().finally(over).then(this.#settle.resolve, this.#settle.reject);
  }

  stop(): Promise<RunReport> {
    this.abort(new SupervisorError('ABORTED', 'The run was stopped.'));
    return this.done;
  }

  /** Ends all that belongs to the run. */
  abort(reason: unknown): void {
    this.#over ??= reason;
    this.#controller.abort(this.#over);
    this.#wake();
    // The process may listen to the signal itself, and knows better why it ends.
    queueMicrotask(() => this.#endProcess());
  }

  /** Starts nothing more; what runs may go on. */
  cease(reason: SupervisorError): void {
    this.#over ??= reason;
    this.#wake();
    if (this.#process === undefined) this.#controller.abort(this.#over);
  }

  async #run(): Promise<RunReport> {
    const { policy, budget, clock, random, restarting, name, sessionId } = this.#context;
    for (let attempt = 1; this.#over === undefined; attempt++) {
      const end = await this.#try(attempt);
      if (end === undefined) break;
      const { report, asked } = end;
      const now = clock.now();
      const history = {
        ends: this.#ends,
        restartedAt: budget.read(),
        now,
        asked,
        random: random(),
      };
      const decision = decideRestart(report, history, policy);
      this.#remember(report);
      if (decision.outcome === 'completed') return this.#report('completed');
      if (decision.outcome === 'aborted') this.#over ??= report.error;
      if (this.#over !== undefined) break;
      if (decision.outcome !== undefined) {
        if (decision.fromOutside) this.#controller.abort(endedFromOutside(report));
        return this.#report(decision.outcome);
      }
      // In the tick of the decision: of two runs with one name, the second counts the first's.
      budget.add(now);
      const { delayMs } = decision;
      restarting({ sessionId, name, attempt: attempt + 1, delayMs, after: report });
      await this.#wait(delayMs);
      if (this.#over === undefined) this.#restarts++;
    }
    this.#controller.abort(this.#over);
    return this.#report('aborted');
  }

  /** Makes one attempt and waits for its end; `undefined` if it was given up because the run is. */
  async #try(attempt: number): Promise<End | undefined> {
    const { attempt: start, wasAsked } = this.#context;
    try {
      const last = this.#ends.at(-1);
      const brought = start({ attempt, signal: this.signal, last });
      // Not a turn later, when it may already be ended.
      const process = isPromiseLike(brought) ? await brought : brought;
      assertProcess(process);
      this.#process = process;
      void drainUnread(process);
      if (this.signal.aborted) this.#endProcess();
      // One that has exited already does not say so again.
      let asked = process.killed;
      process.once('exit', () => {
        asked = wasAsked(process.id);
      });
      const report = await process.exited;
      return { report, asked };
    } catch (error) {
      if (this.#over === undefined) throw error;
      return undefined;
    } finally {
      this.#process = undefined;
    }
  }

  #endProcess(): void {
    void this.#process?.terminate();
  }

  /** A pending restart keeps its host alive, as a queued start does. */
  #wait(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      if (this.#over !== undefined) {
        resolve();
        return;
      }
      const cancel = this.#context.clock.after(delayMs, resolve, { keepAlive: true });
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }

  #remember(report: ExitReport): void {
    this.#ends.push(report);
    if (this.#ends.length > ENDS_KEPT) this.#ends.shift();
  }

  #report(outcome: RunOutcome): RunReport {
    return { outcome, reports: [...this.#ends], restarts: this.#restarts };
  }
}

/** Only the attempt sees the process: what it does not read by a turn after the start, nobody reads. */
async function drainUnread({ started, stdout }: AttemptProcess): Promise<void> {
  await started.catch(() => undefined);
  await turnOfLoop();
  if (stdout.readableFlowing === null) stdout.resume();
}

function isPromiseLike<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof (value as Partial<PromiseLike<T>> | undefined)?.then === 'function';
}

function assertProcess(process: AttemptProcess | undefined): void {
  if (isPromiseLike(process?.exited) && typeof process?.terminate === 'function') return;
  throw new SupervisorError(
    'INVALID_OPTIONS',
    'run: the attempt returned no process. Return what supervisor.spawn(…) or lease.spawn(…) returned.',
    { data: { field: 'attempt' } },
  );
}

function endedFromOutside({ pid, code, signal }: ExitReport): SupervisorError {
  const how = signal ?? `a signal (exit code ${code})`;
  return new SupervisorError(
    'ABORTED',
    `Process ${pid} was ended from outside by ${how}; its run ends with it.`,
    { data: { pid, code, signal } },
  );
}
