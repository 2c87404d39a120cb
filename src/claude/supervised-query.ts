import {
  type ExitCause,
  type ExitReport,
  type SupervisedProcess,
  type Supervisor,
  SupervisorError,
  type SupervisorErrorCode,
} from '../index.ts';
import { callHost } from '../os/call-host.ts';
import { CostTracker } from './cost-tracker.ts';
import type { QueryParams, RunningQuery } from './sdk.ts';

export interface SupervisedQueryContext {
  readonly supervisor: Supervisor;
  readonly sessionId: string | number | undefined;
  readonly onExit: ((report: ExitReport) => void) | undefined;
}

/** The causes of an end that was ours, and what the query then throws. */
const OUR_ENDS: Partial<Record<ExitCause, SupervisorErrorCode>> = {
  budget: 'BUDGET_EXCEEDED',
  'wall-clock': 'SESSION_EXPIRED',
  shutdown: 'STOPPING',
  duplicate: 'CONVERSATION_BUSY',
  reaped: 'ABORTED',
  startup: 'ABORTED',
  idle: 'ABORTED',
  memory: 'ABORTED',
  lifetime: 'ABORTED',
};

/** `undefined` if the agent ended by itself, or the kernel killed it for want of memory. */
function codeOfOurEnd({ cause, oomKilled }: ExitReport): SupervisorErrorCode | undefined {
  return oomKilled ? undefined : OUR_ENDS[cause];
}

/** One query: ties its iterator, its abort controller and its processes together. */
export class SupervisedQuery {
  readonly controller: AbortController;
  readonly #context: SupervisedQueryContext;
  readonly #params: QueryParams;
  readonly #exits: Promise<ExitReport>[] = [];
  readonly #alive = new Set<SupervisedProcess>();
  /** Why we end it, if we do so before its last input was given. */
  readonly #interruptions = new Map<string, string | undefined>();
  #isClosed = false;

  constructor(context: SupervisedQueryContext, params: QueryParams) {
    this.#context = context;
    this.#params = params;
    this.controller = params.options?.abortController ?? new AbortController();
  }

  /** Takes a process that the query has started. */
  watch(process: SupervisedProcess): SupervisedProcess {
    const { supervisor, onExit } = this.#context;
    this.#alive.add(process);
    const forget = supervisor.on('ending', ({ id, reason }) => {
      if (id === process.id && !process.stdin.writableEnded) this.#interruptions.set(id, reason);
    });
    const exit = process.exited.then((report) => {
      forget();
      this.#alive.delete(process);
      // Aborts this query only: one that was told to end takes no other along.
      if (report.intentional && !this.#isClosed) this.controller.abort(this.#errorOf(report));
      if (onExit !== undefined) callHost(() => onExit(report));
      return report;
    });
    this.#exits.push(exit);
    return process;
  }

  /** Gives the query back with all that it can, tied to its processes. */
  attach(inner: RunningQuery): RunningQuery {
    const costs = new CostTracker(inner, this.#params, (spent) =>
      this.#context.supervisor.charge(this.#context.sessionId, spent),
    );
    const own: Record<PropertyKey, unknown> = {
      next: async (...input: [] | [unknown]) => {
        const step = await inner.next(...input).catch((error) => this.#failed(inner, error));
        if (step.done) await this.#over();
        else await costs.read(step.value);
        return step;
      },
      return: async (value: unknown) => {
        const closing = inner.return(value);
        this.#close();
        return closing.finally(() => Promise.all(this.#exits));
      },
      throw: async (error: unknown) => {
        const closing = inner.throw(error);
        this.#close();
        return closing.finally(() => Promise.all(this.#exits));
      },
      close: () => {
        inner.close?.();
        this.#close();
      },
      [Symbol.asyncIterator]: () => query,
      [Symbol.asyncDispose]: async () => void (await query.return(undefined)),
    };
    const query = overlay(inner, own);
    return query;
  }

  /** The caller has no more use for it. */
  #close(): void {
    this.#isClosed = true;
    for (const process of this.#alive) void process.terminate({ reason: 'its query was closed' });
  }

  /** Waits for the death of all that was started; throws if we have cut the query short. */
  async #over(): Promise<void> {
    for (const report of await Promise.all(this.#exits)) {
      const isCut = codeOfOurEnd(report) !== undefined && this.#interruptions.has(report.id);
      if (isCut && !this.#isClosed) throw this.#errorOf(report);
    }
  }

  /** The same for a query that throws: with what we know of its end. */
  async #failed(inner: RunningQuery, error: unknown): Promise<never> {
    // It may have thrown over one message, and its process would wait for the next prompt for ever.
    if (inner.close !== undefined) inner.close();
    else void inner.return(undefined).catch(() => undefined);
    for (const report of await Promise.all(this.#exits)) {
      if (report.error !== undefined && !report.intentional) throw report.error;
      if (codeOfOurEnd(report) !== undefined) throw this.#errorOf(report, error);
    }
    throw error;
  }

  #errorOf(report: ExitReport, cause?: unknown): SupervisorError {
    const { id, code, signal } = report;
    const reason = this.#interruptions.get(id) ?? `exit code ${code}, signal ${signal}`;
    return new SupervisorError(
      codeOfOurEnd(report) ?? 'ABORTED',
      `The query's agent was ended, with the cause "${report.cause}": ${reason}`,
      { cause, data: { report } },
    );
  }
}

/** An object with what `own` has of its own, and of all the rest what `inner` has, bound to it. */
function overlay<T extends object>(inner: T, own: Record<PropertyKey, unknown>): T {
  const bound = new Map<unknown, unknown>();
  return new Proxy(inner, {
    get(target, key) {
      if (Object.hasOwn(own, key)) return own[key];
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== 'function') return value;
      if (!bound.has(value)) bound.set(value, value.bind(target));
      return bound.get(value);
    },
    has: (target, key) => Object.hasOwn(own, key) || Reflect.has(target, key),
    set: (target, key, value) => Reflect.set(target, key, value, target),
  });
}
