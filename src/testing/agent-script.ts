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

/** What an agent does: the same steps for each of its processes, or steps made for each of them. */
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
  /** What the host has answered to permission requests. */
  readonly permissions: readonly PermissionAnswer[];
  /** Resolves at its exit. */
  readonly exited: Promise<{
    readonly code: number | null;
    readonly signal: NodeJS.Signals | null;
  }>;
}

type Next = IteratorResult<AgentStep, unknown>;

const agentStep = z.custom<AgentStep>(isStep, { error: 'must be a step such as say("…")' });

/** A script as its agent goes through it. */
export class RunningScript {
  readonly #stdout: Writable;
  readonly #steps: AsyncIterator<AgentStep, unknown, StepOutcome>;
  readonly #breathe = sliced(systemClock);
  /** What the script waits for outlives an interruption. */
  #coming: Promise<Next> | undefined;

  constructor(steps: AgentSteps, stdout: Writable) {
    this.#steps = iterate(steps);
    this.#stdout = stdout;
  }

  /** The next step, unless `interrupted` comes first. */
  async next(
    outcome: StepOutcome,
    interrupted: Promise<'interrupted'>,
  ): Promise<Next | 'interrupted'> {
    this.#coming ??= this.#proceed(outcome);
    // If it fails after an interruption, the next turn tells it.
    this.#coming.catch(() => undefined);
    const next = await Promise.race([interrupted, this.#coming]);
    if (next !== 'interrupted') this.#coming = undefined;
    return next;
  }

  /** A script that never stops leaves its host the time to read it, and to end it. */
  async #proceed(outcome: StepOutcome): Promise<Next> {
    await this.#breathe();
    // As at a full pipe.
    if (this.#stdout.writableNeedDrain) await once(this.#stdout, 'drain');
    return this.#steps.next(outcome);
  }
}

/** One iterator of either kind: a generator hears what its steps came to. */
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
