import { once } from 'node:events';
import type { Writable } from 'node:stream';
import * as z from 'zod/mini';
import { parseInput } from '../check.ts';
import { sliced, systemClock } from '../os/clock.ts';
import type { Frame } from './agent-frames.ts';
import {
  type AgentStep,
  type AgentSteps,
  isStep,
  type PermissionAnswer,
  type StepOutcome,
} from './agent-steps.ts';

/** The steps of a fake agent: the same for each of its processes, or made for each one. */
export type AgentScript = readonly AgentStep[] | ((call: AgentCall) => AgentSteps);

/** One process that a fake agent stood for: what it was started with, what it heard, how it ended. */
export interface AgentCall {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The texts of the prompts so far. */
  readonly prompts: readonly string[];
  /** Every frame that the host has written so far. */
  readonly received: readonly Frame[];
  /** The host's answers to permission requests. */
  readonly permissions: readonly PermissionAnswer[];
  /** Resolves at its exit. */
  readonly exited: Promise<{
    readonly code: number | null;
    readonly signal: NodeJS.Signals | null;
  }>;
}

type Next = IteratorResult<AgentStep, unknown>;

const agentStep = z.custom<AgentStep>(isStep, { error: 'must be a step such as say("…")' });

/** The position of an agent in its script. */
export class RunningScript {
  readonly #stdout: Writable;
  readonly #steps: AsyncIterator<AgentStep, unknown, StepOutcome>;
  readonly #yieldToLoop = sliced(systemClock);
  /** A step that an interruption has not stopped; the next turn goes on with it. */
  #pending: Promise<Next> | undefined;

  constructor(steps: AgentSteps, stdout: Writable) {
    this.#steps = iterate(steps);
    this.#stdout = stdout;
  }

  /** Returns the next step, unless `interrupted` resolves first. */
  async next(
    outcome: StepOutcome,
    interrupted: Promise<'interrupted'>,
  ): Promise<Next | 'interrupted'> {
    this.#pending ??= this.#proceed(outcome);
    // An error after an interruption is thrown in the next turn.
    this.#pending.catch(() => undefined);
    const next = await Promise.race([interrupted, this.#pending]);
    if (next !== 'interrupted') this.#pending = undefined;
    return next;
  }

  /** Yields to the event loop, so that an endless script does not block its host. */
  async #proceed(outcome: StepOutcome): Promise<Next> {
    await this.#yieldToLoop();
    // A real agent blocks at a full pipe, too.
    if (this.#stdout.writableNeedDrain) await once(this.#stdout, 'drain');
    return this.#steps.next(outcome);
  }
}

/** Iterates sync and async scripts alike. A generator gets the outcome of each step from its `yield`. */
async function* iterate(steps: AgentSteps): AsyncGenerator<AgentStep, void, StepOutcome> {
  const iterator =
    Symbol.asyncIterator in steps ? steps[Symbol.asyncIterator]() : steps[Symbol.iterator]();
  let outcome: StepOutcome;
  for (;;) {
    const { done, value } = await (outcome === undefined
      ? iterator.next()
      : iterator.next(outcome));
    if (done) return;
    outcome = yield parseInput(agentStep, value, 'fakeAgent', 'step');
  }
}
