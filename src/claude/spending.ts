import type { Spent } from '../index.ts';

/** The cost fields of the SDK's result message, each of which may be missing. */
export interface SpendingReport {
  readonly total_cost_usd?: unknown;
  readonly modelUsage?: unknown;
}

/** The fields of `modelUsage` that count tokens; its other counts are parts of these. */
const TOKEN_COUNTS = [
  ...['inputTokens', 'outputTokens', 'cacheReadInputTokens', 'cacheCreationInputTokens'],
];

/** Reads the running total of a result message; a missing or invalid number counts as 0. */
export function readTotal({ total_cost_usd, modelUsage }: SpendingReport): Spent {
  const models: readonly object[] = Object.values(modelUsage ?? {});
  const tokens = models.flatMap((usage) =>
    TOKEN_COUNTS.map((count) => amountOf((usage as Record<string, unknown>)?.[count])),
  );
  return { usd: amountOf(total_cost_usd), tokens: tokens.reduce((sum, part) => sum + part, 0) };
}

/**
 * Turns an agent's running totals into increments.
 *
 * Totals are cumulative for a query, and continue those of a resumed or forked conversation. They start
 * at 0 in the new conversation that a `/clear` opens, and are 0 in the result of a crash (measured, SDK
 * 0.3.330). An increment is never negative, and nothing is counted twice.
 */
export class Meter {
  readonly #conversations = new Map<string, { counted: Spent; lastResult: Spent }>();

  /** Sets the total that earlier queries have spent in a conversation, which is charged already. */
  begin(conversation: string, total: Spent): void {
    this.#conversations.set(conversation, { counted: total, lastResult: total });
  }

  /** Takes the total of a result, and returns the increment. */
  result(conversation: string, total: Spent): Spent {
    const state = this.#of(conversation);
    // Lower than before, but not the 0 of a crash: the total was reset within the conversation.
    if (total.usd > 0 && total.usd < state.lastResult.usd) state.counted = NOTHING;
    if (total.usd > 0) state.lastResult = total;
    return this.#raise(state, total);
  }

  /** Takes a total read in mid-turn. It may arrive out of order, so a lower one is ignored. */
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
