import * as z from 'zod/mini';
import { durationMs } from '../check.ts';
import { SupervisorError } from '../errors.ts';
import type { Clock } from '../os/clock.ts';

/** The number of starts that a window allows. */
export interface SpawnRateOptions {
  /** Starts of this host. */
  readonly max: number;
  readonly windowMs: number;
  /** Starts of one session. Default: `max`. */
  readonly maxPerSession?: number | undefined;
}

/** @internal */
export const spawnRateOptions = z.lazy(() =>
  z
    .strictObject({
      max: z.int().check(z.minimum(1)),
      windowMs: durationMs().check(z.minimum(1)),
      maxPerSession: z.optional(z.int().check(z.minimum(1))),
    })
    .check(
      z.refine(({ max, maxPerSession = max }) => maxPerSession <= max, {
        error: 'maxPerSession must be at most max',
        path: ['maxPerSession'],
      }),
    ),
);

/** @internal The deepest nesting of supervisors; far below the depth that a cookie can hold. */
export const maxDepthOption = z.lazy(() =>
  z._default(z.int().check(z.minimum(0), z.maximum(32)), 4),
);

/** Throws if a process started by a host at this depth would be nested too deeply. */
export function assertDepth(depth: number, maxDepth: number): void {
  if (depth < maxDepth) return;
  throw new SupervisorError(
    'DEPTH_EXCEEDED',
    `What this host starts would be at depth ${depth + 1} (the host itself is below ${depth} supervisors), and maxDepth is ${maxDepth}. Start it from a host further out, or raise maxDepth here.`,
    { data: { depth: depth + 1, maxDepth } },
  );
}

interface Start {
  readonly atMs: number;
  readonly sessionId: string | undefined;
}

/** Counts the starts in the last window, for the host and per session; forgets older ones. */
export class SpawnRate {
  readonly #options: SpawnRateOptions;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #starts = new Queue<Start>();
  /** Only sessions with a start in the window. */
  readonly #sessions = new Map<string, Queue<Start>>();

  constructor(options: SpawnRateOptions, clock: Pick<Clock, 'monotonicMs'>) {
    this.#options = options;
    this.#clock = clock;
  }

  /** Number of starts and sessions in memory. */
  get size(): { readonly starts: number; readonly sessions: number } {
    return { starts: this.#starts.length, sessions: this.#sessions.size };
  }

  /** Throws `SPAWN_RATE` if the window is full; counts nothing. */
  assertFree(sessionId: string | undefined): void {
    const nowMs = this.#clock.monotonicMs();
    this.#forget(nowMs);
    const { max, maxPerSession = max, windowMs } = this.#options;
    const session = sessionId === undefined ? undefined : this.#sessions.get(sessionId);
    const isSessionFull = session !== undefined && session.length >= maxPerSession;
    // If both windows are full, the session's opens later: its starts are among the host's.
    const full = isSessionFull ? session : this.#starts;
    if (full === this.#starts && full.length < max) return;
    const retryInMs = Math.ceil((full.first?.atMs ?? nowMs) + windowMs - nowMs);
    const whose = isSessionFull ? `Session "${sessionId}"` : 'This host';
    const limit = isSessionFull ? 'spawnRate.maxPerSession' : 'spawnRate.max';
    throw new SupervisorError(
      'SPAWN_RATE',
      `${whose} started ${full.length} processes in the last ${windowMs} ms, and ${limit} is ${full.length}. The next start is possible in ${retryInMs} ms; wait, or raise ${limit}.`,
      { data: { sessionId, started: full.length, windowMs, retryInMs } },
    );
  }

  /** Counts a start that has happened. */
  count(sessionId: string | undefined): void {
    const start = { atMs: this.#clock.monotonicMs(), sessionId };
    this.#starts.push(start);
    if (sessionId === undefined) return;
    const session = this.#sessions.get(sessionId) ?? new Queue();
    session.push(start);
    this.#sessions.set(sessionId, session);
  }

  #forget(nowMs: number): void {
    for (;;) {
      const oldest = this.#starts.first;
      if (oldest === undefined || nowMs - oldest.atMs < this.#options.windowMs) return;
      this.#starts.shift();
      if (oldest.sessionId === undefined) continue;
      const session = this.#sessions.get(oldest.sessionId);
      session?.shift();
      if (session?.length === 0) this.#sessions.delete(oldest.sessionId);
    }
  }
}

/** A first-in-first-out queue; an array's own shift() moves all other items. */
class Queue<Item> {
  #items: Item[] = [];
  #gone = 0;

  get length(): number {
    return this.#items.length - this.#gone;
  }

  get first(): Item | undefined {
    return this.#items[this.#gone];
  }

  push(item: Item): void {
    this.#items.push(item);
  }

  shift(): void {
    this.#gone++;
    if (this.#gone * 2 < this.#items.length) return;
    this.#items = this.#items.slice(this.#gone);
    this.#gone = 0;
  }
}
