import * as z from 'zod/mini';
import { made, parseInput } from '../check.ts';
import type { Emit } from '../events.ts';
import type { Os } from '../os/os.ts';
import { restartPolicy, withBackoff } from '../policy/restart-policy.ts';
import { abortSignal, sessionId } from '../process/request.ts';
import { restartFile } from '../store/restart-log.ts';
import { budgetInMemory, type Run, type RunContext, SupervisedRun } from './restart-loop.ts';

/** The restart policy of a run, and the session that it belongs to. */
export interface RunOptions {
  /** The session of the run: reaping the session ends it. */
  sessionId?: string | number | undefined;
  /** The name under which restarts are counted, by this host and by the next one. Default: the session's. */
  name?: string | undefined;
  /** So many restarts within `windowMs`. @default 5 */
  maxRestarts?: number | undefined;
  /** At most 30 days. @default 600_000 */
  windowMs?: number | undefined;
  /** From a crash to the first restart; doubled for each one more within `windowMs`. @default 1000 */
  backoffMs?: number | undefined;
  /** @default 60_000 */
  maxBackoffMs?: number | undefined;
  /** Random share of each delay, 0 to 1: a backoff is shorter by at most this part. @default 0.5 */
  jitter?: number | undefined;
  /** So many crashes in a row that look the same end the run. @default 3 */
  sameCrashLimit?: number | undefined;
  /** Ends the run. */
  signal?: AbortSignal | undefined;
}

const runOptions = z.lazy(() =>
  z.prefault(
    z.extend(made(restartPolicy), {
      sessionId: z.optional(sessionId),
      name: z.optional(z.string().check(z.minLength(1))),
      signal: z.optional(abortSignal),
    }),
    {},
  ),
);
const runAttempt = z.lazy(() =>
  z.custom((value) => typeof value === 'function', {
    error: 'must be a function',
  }),
);

/** @internal */
export interface RunsParts {
  readonly os: Os;
  readonly emit: Emit;
  stateDir(): string;
  /** This host has asked for the end of a process; known until its exit has been told. */
  wasAsked(id: string): boolean;
  /** Throws while nothing may start. */
  assertUsable(): void;
}

/** @internal The runs of a supervisor that are not over. */
export class Runs {
  readonly #parts: RunsParts;
  readonly #runs = new Set<SupervisedRun>();

  constructor(parts: RunsParts) {
    this.#parts = parts;
  }

  /** Those of a session, or all. */
  of(session?: string): SupervisedRun[] {
    return [...this.#runs].filter((run) => session === undefined || run.sessionId === session);
  }

  /** Checks the options of a run and makes its first attempt. */
  begin(options: RunOptions, attempt: RunContext['attempt']): Run {
    const { os, emit, stateDir, wasAsked, assertUsable } = this.#parts;
    const checked = parseInput(runOptions, options, 'run');
    parseInput(runAttempt, attempt, 'run', 'attempt');
    assertUsable();
    const { sessionId: session, name, signal, ...policy } = checked;
    // A name and a session that read the same are not the same.
    const of = name !== undefined ? `name ${name}` : session && `session ${session}`;
    const warn = (message: string, cause: unknown) =>
      emit('warning', { code: 'RESTARTS', message, cause });
    const run = new SupervisedRun({
      name,
      sessionId: session,
      policy: withBackoff(policy),
      budget: of ? restartFile({ os, stateDir: stateDir(), of, warn }) : budgetInMemory(),
      clock: os.clock,
      signal,
      random: Math.random,
      attempt,
      wasAsked,
      restarting: (event) => emit('restarting', event),
      ended: () => this.#runs.delete(run),
    });
    this.#runs.add(run);
    run.begin();
    return run;
  }
}
