import type { Spent } from '../index.ts';

/** The part of the SDK's result message that tells what was spent; the SDK may leave any of it out. */
export interface SpendingReport {
  readonly total_cost_usd?: unknown;
  readonly modelUsage?: unknown;
}

/** What of `modelUsage` are tokens; the other counts in it are parts of these. */
const TOKEN_COUNTS = [
  ...['inputTokens', 'outputTokens', 'cacheReadInputTokens', 'cacheCreationInputTokens'],
];

/** Reads the running total out of a result message; what is missing or no number counts as nothing. */
export function readTotal({ total_cost_usd, modelUsage }: SpendingReport): Spent {
  const models: readonly object[] = Object.values(modelUsage ?? {});
  const tokens = models.flatMap((usage) =>
    TOKEN_COUNTS.map((count) => amountOf((usage as Record<string, unknown>)?.[count])),
  );
  return { usd: amountOf(total_cost_usd), tokens: tokens.reduce((sum, part) => sum + part, 0) };
}

/**
 * Turns the running totals that an agent tells into what each of them adds.
 *
 * The totals are cumulative for a query, go on from a resumed or forked conversation's own, begin at
 * nothing with the new conversation that a `/clear` opens, and are zero in the result of a crash
 * (measured, SDK 0.3.330). What is added is never negative, and nothing is added twice.
 */
export class Meter {
  readonly #conversations = new Map<string, { counted: Spent; lastResult: Spent }>();

  /** Tells what others have spent in a conversation before this query: it is counted already. */
  begin(conversation: string, total: Spent): void {
    this.#conversations.set(conversation, { counted: total, lastResult: total });
  }

  /** Takes the total of a result; returns what it adds. */
  result(conversation: string, total: Spent): Spent {
    const state = this.#of(conversation);
    // Less than before, and not the zero of a crash: it has begun anew without a name of its own.
    if (total.usd > 0 && total.usd < state.lastResult.usd) state.counted = NOTHING;
    if (total.usd > 0) state.lastResult = total;
    return this.#raise(state, total);
  }

  /** Takes a total told in mid-turn, which may be told out of order: it can only add. */
  reading(conversation: string, total: Spent): Spent {
    return this.#raise(this.#of(conversation), total);
  }

  #of(conversation: string) {
    const known = this.#conversations.get(conversation);
    if (known !== undefined) return known;
    const state = { counted: NOTHING, lastResult: NOTHING };
    this.#conversations.set(conversation, state);
    return state;
  }

  #raise(state: { counted: Spent }, total: Spent): Spent {
    const { counted } = state;
    state.counted = {
      usd: Math.max(counted.usd, total.usd),
      tokens: Math.max(counted.tokens, total.tokens),
    };
    return { usd: state.counted.usd - counted.usd, tokens: state.counted.tokens - counted.tokens };
  }
}

const NOTHING: Spent = { usd: 0, tokens: 0 };

function amountOf(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : 0;
}
