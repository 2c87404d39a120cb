import * as z from 'zod/mini';
import { definedOnly } from '../check.ts';
import { SupervisorError } from '../errors.ts';
import type { DayLedger, Spent } from '../store/spend-log.ts';
import type { RunningProcess } from './running-process.ts';
import type { Sessions } from './session.ts';

/**
 * Limits on spending; once one is reached, nothing more is started. Limits that are left out are
 * unlimited.
 */
export interface Budget {
  /** US dollars over a session's lifetime, on all hosts of the state directory. */
  perSessionUsd?: number | undefined;
  /** US dollars over this supervisor's lifetime. */
  perHostUsd?: number | undefined;
  /** US dollars in a day (UTC), on all hosts of the state directory. */
  perDayUsd?: number | undefined;
  /** Tokens of all kinds over a session's lifetime. */
  maxTokens?: number | undefined;
  /**
   * Also ends running processes, with the cause `budget`, once the budget is spent. @default false
   */
  endRunning?: boolean | undefined;
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

/** @internal The schema of a charge. */
export const charge = z.lazy(() =>
  z.strictObject({
    usd: z._default(z.number().check(z.nonnegative()), 0),
    tokens: z._default(z.number().check(z.nonnegative()), 0),
  }),
);

/** Merges a request's own budget over the supervisor's. */
export function mergeBudgets(base: Budget, own: Budget = {}): Budget {
  return { ...base, ...definedOnly(own) };
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

/** The spending of each session, this host and this day; refuses starts over budget. */
export class Spending {
  readonly #context: SpendingContext;
  #hostUsd = 0;

  constructor(context: SpendingContext) {
    this.#context = context;
  }

  /** US dollars charged to this supervisor so far. */
  get hostUsd(): number {
    return this.#hostUsd;
  }

  /** Records a charge, and ends processes over budget that asked for it. */
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

  /**
   * @throws SupervisorError `BUDGET_EXCEEDED`: a budget that is spent exactly allows nothing more
   */
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
