import type { Spent } from '../index.ts';
import { systemClock, turnOfLoop } from '../os/clock.ts';
import { within } from '../os/wait.ts';
import type { QueryParams, RunningQuery } from './sdk.ts';
import { Meter, readTotal, type SpendingReport } from './spending.ts';

interface Message {
  readonly type?: unknown;
  readonly session_id?: unknown;
}

interface Usage {
  readonly session?: { readonly total_cost_usd?: unknown; readonly model_usage?: unknown };
  readonly rate_limits_available?: unknown;
}

const RESUMING = ['resume', 'continue', 'forkSession', 'resumeSessionAt'];
const RESUMING_ARGS = ['resume', 'r', 'continue', 'c'];

/**
 * Longest time that a message is held back for the agent's reply. The reply takes 2 to 50 ms as a rule, and
 * over 1 s on an overloaded machine.
 */
const PATIENCE_MS = 5000;

/** Charges what a query spends: by its results, and in between by asking its agent after each answer. */
export class CostTracker {
  readonly #query: RunningQuery;
  readonly #charge: (spent: Spent) => void;
  readonly #meter = new Meter();
  /** Resolves when it is known, or never will be, what its conversation had cost before. */
  readonly #beginning: Promise<void> | undefined;
  #baseline: Spent | undefined;
  #hasBegun = false;
  #conversation = '';
  #isAsking = false;
  #mayAsk = true;

  constructor(query: RunningQuery, params: QueryParams, charge: (spent: Spent) => void) {
    this.#query = query;
    this.#charge = charge;
    if (!resumes(params)) return;
    this.#beginning = this.#ask().then((total) => {
      this.#baseline = total;
    });
  }

  /**
   * Takes a message before the caller does, so that its costs are charged regardless of what the caller
   * does next.
   */
  async read(message: unknown): Promise<void> {
    const { type, session_id: conversation } = (message ?? {}) as Message;
    if (typeof conversation !== 'string') return;
    this.#conversation ||= conversation;
    if (type === 'result') {
      // The agent's reply came before the result; it may have a few microtasks still to go.
      await Promise.race([this.#beginning, turnOfLoop()]);
      this.#begin();
      this.#add(this.#meter.result(conversation, readTotal(message as SpendingReport)));
    } else if ((type === 'assistant' || type === 'user') && this.#mayAsk && !this.#isAsking) {
      await within(PATIENCE_MS, this.#readOn(conversation), systemClock.running, {
        keepAlive: false,
      });
    }
  }

  /** Reads the total in mid-turn: a crash, the caller's or the budget's end may come before the result. */
  async #readOn(conversation: string): Promise<void> {
    this.#isAsking = true;
    const total = await this.#ask();
    await this.#beginning;
    this.#begin();
    if (total !== undefined) this.#add(this.#meter.reading(conversation, total));
    this.#isAsking = false;
  }

  /** Before the first total is counted, and never after it. */
  #begin(): void {
    if (!this.#hasBegun && this.#baseline !== undefined)
      this.#meter.begin(this.#conversation, this.#baseline);
    this.#hasBegun = true;
  }

  #add(spent: Spent): void {
    if (spent.usd > 0 || spent.tokens > 0) this.#charge(spent);
  }

  /** Asks the agent for its running total; `undefined` when it is of a version that does not tell. */
  async #ask(): Promise<Spent | undefined> {
    try {
      const usage = (await this.#query.usage_EXPERIMENTAL_MAY_CHANGE_DO_NOT_RELY_ON_THIS_API_YET?.({
        skip_behaviors: true,
      })) as Usage | undefined;
      // With a plan, each question costs a request to its server, and no dollar is spent anyway.
      if (usage === undefined || usage.rate_limits_available === true) this.#mayAsk = false;
      const { total_cost_usd, model_usage: modelUsage } = usage?.session ?? {};
      return usage?.session && readTotal({ total_cost_usd, modelUsage });
    } catch {
      // It has ended, or cannot be asked now.
      return undefined;
    }
  }
}

function resumes({ options = {} }: QueryParams): boolean {
  const args = (options['extraArgs'] ?? {}) as object;
  return (
    RESUMING.some((name) => options[name]) ||
    RESUMING_ARGS.some((name) => Object.hasOwn(args, name))
  );
}
