import * as z from 'zod/mini';
import { definedOnly } from '../check.ts';
import { SupervisorError } from '../errors.ts';
import type { RunningProcess } from './running-process.ts';
import type { Sessions } from './session.ts';

/** What may be spent before nothing more is started; what is left out is without end. */
export interface Budget {
  /** US dollars in a session's whole life, on all hosts of the state directory. */
  perSessionUsd?: number | undefined;
  /** US dollars in this supervisor's life. */
  perHostUsd?: number | undefined;
  /** US dollars in a day (UTC), on all hosts of the state directory. */
  perDayUsd?: number | undefined;
  /** Tokens of all kinds in a session's whole life. */
  maxTokens?: number | undefined;
  /** Whether a running process is ended too, with the cause `budget`, once it is spent. @default false */
  endRunning?: boolean | undefined;
}

/** Money and tokens of all kinds. */
export interface Spent {
  readonly usd: number;
  readonly tokens: number;
}

const sum = () =>
  z.number().check(z.refine((value) => value > 0, { error: 'must be more than 0' }));

/** @internal */
export const budget = z.lazy(() =>
  z.strictObject({
    perSessionUsd: z.optional(sum()),
    perHostUsd: z.optional(sum()),
    perDayUsd: z.optional(sum()),
    maxTokens: z.optional(sum()),
    endRunning: z.optional(z.boolean()),
  }),
);

/** @internal What a charge may be. */
export const charge = z.lazy(() =>
  z.strictObject({
    usd: z._default(z.number().check(z.nonnegative()), 0),
    tokens: z._default(z.number().check(z.nonnegative()), 0),
  }),
);

/** A request's own budget, over the supervisor's. */
export function mergeBudgets(base: Budget, own: Budget = {}): Budget {
  return { ...base, ...definedOnly(own) };
}

/** What all hosts of the state directory have spent today. */
export interface DayLedger {
  spentUsd(): number;
  charge(spent: Spent, sessionId: string | undefined): void;
}

export interface SpendingContext {
  readonly sessions: Sessions;
  readonly days: DayLedger;
  running(): Iterable<RunningProcess & { readonly budget: Budget | undefined }>;
}

const ADVICE = {
  perSessionUsd: 'Begin a new session',
  maxTokens: 'Begin a new session',
  perHostUsd: 'Start a new host',
  perDayUsd: 'Wait for the next day (UTC)',
} as const;

/** What was spent by a session, this host and this day, and what that forbids. */
export class Spending {
  readonly #context: SpendingContext;
  #hostUsd = 0;

  constructor(context: SpendingContext) {
    this.#context = context;
  }

  /** What this supervisor has been charged with so far. */
  get hostUsd(): number {
    return this.#hostUsd;
  }

  /** Counts it everywhere, and ends what has no budget left and asked for that. */
  charge(sessionId: string | undefined, spent: Spent): void {
    const { sessions, days, running } = this.#context;
    this.#hostUsd += spent.usd;
    days.charge(spent, sessionId);
    if (sessionId !== undefined) sessions.enter(sessionId).charge(spent);
    for (const process of [...running()]) {
      if (!process.budget?.endRunning) continue;
      const error = this.#judge(process.budget, process.subject.sessionId);
      if (error !== undefined) void process.end('budget', {}, error.message);
    }
  }

  /** @throws SupervisorError `BUDGET_EXCEEDED`: what is spent to the last cent starts nothing more */
  assertWithin(budget: Budget, sessionId: string | undefined): void {
    const error = this.#judge(budget, sessionId);
    if (error !== undefined) throw error;
  }

  #judge(budget: Budget, sessionId: string | undefined): SupervisorError | undefined {
    for (const name of Object.keys(ADVICE) as (keyof typeof ADVICE)[]) {
      const limit = budget[name];
      const spent = limit === undefined ? 0 : this.#spent(name, sessionId);
      if (limit !== undefined && spent >= limit) return exceeded(name, limit, spent, sessionId);
    }
    return undefined;
  }

  #spent(name: keyof typeof ADVICE, sessionId: string | undefined): number {
    const { sessions, days } = this.#context;
    if (name === 'perHostUsd') return this.#hostUsd;
    if (name === 'perDayUsd') return days.spentUsd();
    if (sessionId === undefined) return 0;
    const { usd, tokens } = sessions.enter(sessionId).spent;
    return name === 'maxTokens' ? tokens : usd;
  }
}

function exceeded(
  name: keyof typeof ADVICE,
  limit: number,
  spent: number,
  sessionId: string | undefined,
): SupervisorError {
  const show = (sum: number): string =>
    name === 'maxTokens' ? `${sum} tokens` : `$${Number(sum.toFixed(6))}`;
  const whose = { perHostUsd: 'This host has', perDayUsd: 'Today all hosts have' } as const;
  const who = name in whose ? whose[name as keyof typeof whose] : `Session "${sessionId}" has`;
  return new SupervisorError(
    'BUDGET_EXCEEDED',
    `${who} spent ${show(spent)}, and budget.${name} is ${show(limit)}. ${ADVICE[name]}, or raise budget.${name}.`,
    { data: { budget: name, limit, spent, sessionId } },
  );
}
