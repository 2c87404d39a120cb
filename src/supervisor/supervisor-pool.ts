import * as z from 'zod/mini';
import { parseInput } from '../check.ts';
import type { Clock } from '../os/clock.ts';
import type { Pool } from '../policy/pool.ts';
import { poolOptions } from '../policy/pool-options.ts';
import type { PoolPause, WaitsFor } from '../reports.ts';

const wallClock = z.lazy(() =>
  z.union(
    [
      z.number().check(z.nonnegative()),
      z.pipe(
        z.date(),
        z.transform((date) => date.getTime()),
      ),
    ],
    { error: 'must be a Date, or a number of ms since 1970' },
  ),
);

const resizeOptions = z.lazy(() =>
  z.strictObject({ concurrency: z.optional(z.unknown()), hardCap: z.optional(z.unknown()) }),
);

const pauseOptions = z.lazy(() =>
  z.strictObject({
    reason: z.string().check(z.minLength(1), z.maxLength(1024)),
    until: z.optional(wallClock),
  }),
);

/** A key of the pool that is held, or waited for. */
export interface PoolKey {
  readonly key: string;
  /** Number of those that hold it. */
  readonly running: number;
  /** `undefined` without a bound in `pool.perKey`. */
  readonly limit: number | undefined;
}

/** A request that waits for the pool. */
export interface PoolRequest {
  readonly sessionId: string | undefined;
  /** `undefined` for a lease. */
  readonly kind: string | undefined;
  readonly priority: number;
  readonly keys: readonly string[];
  readonly waitedMs: number;
  readonly waitsFor: WaitsFor;
}

/** The pool of a supervisor: its size, who waits, and its pause. */
export class SupervisorPool {
  readonly #pool: () => Pool;
  readonly #clock: Clock;

  /** @internal `pool`: the one in use; options may be replaced before their first use. */
  constructor(pool: () => Pool, clock: Clock) {
    this.#pool = pool;
    this.#clock = clock;
  }

  /** Number of slots. */
  get concurrency(): number {
    return this.#pool().concurrency;
  }

  get hardCap(): number {
    return this.#pool().size.hardCap;
  }

  /** Number of held slots. */
  get running(): number {
    return this.#pool().held;
  }

  /** Number of waiting requests. */
  get waiting(): number {
    return this.#pool().waiting.size;
  }

  /** Time for which the oldest request has waited; `undefined` if none waits. */
  get oldestWaitMs(): number | undefined {
    return this.#pool().oldestWaitMs;
  }

  /** The pause, if the pool is paused. */
  get paused(): PoolPause | undefined {
    return this.#pool().paused;
  }

  /** The waiting requests, in the order in which they go as soon as they may. */
  get queue(): PoolRequest[] {
    const nowMs = this.#clock.monotonicMs();
    return this.#pool().queue.map(({ request, sinceMs, waitsFor }) => ({
      sessionId: request.sessionId,
      kind: request.kind,
      priority: request.priority,
      keys: request.keys ?? [],
      waitedMs: nowMs - sinceMs,
      waitsFor,
    }));
  }

  /** The keys that are held or waited for. */
  get keys(): PoolKey[] {
    return Array.from(this.#pool().keys, ({ waitsFor, held, limit }) => ({
      key: waitsFor.name as string,
      running: held,
      limit: Number.isFinite(limit) ? limit : undefined,
    }));
  }

  /**
   * Changes the size. Nothing is ended: in a pool that is too full, slots fall away as they become free.
   *
   * A larger pool raises the default `hardCap`, but not one that the host has named.
   *
   * @throws SupervisorError `INVALID_OPTIONS`
   */
  resize(options: { concurrency?: number | undefined; hardCap?: number | undefined }): void {
    const wanted = parseInput(resizeOptions, options, 'pool.resize');
    const pool = this.#pool();
    const { concurrency, hardCap, hardCapCounts } = pool.size;
    const named = hardCapCounts === 'all' ? hardCap : undefined;
    const asked = {
      concurrency: wanted.concurrency ?? concurrency,
      hardCap: wanted.hardCap ?? named,
    };
    const size = parseInput(poolOptions, asked, 'pool.resize');
    pool.resize({
      concurrency: size.concurrency,
      hardCap: size.hardCap,
      hardCapCounts: size.hardCapCounts,
    });
  }

  /**
   * Grants no more slots, until then or until `resume`; replaces an earlier pause.
   *
   * Running processes go on, and so does what takes no slot, as tools and MCP servers.
   *
   * `until` is a Date, or ms since 1970. Default: no end.
   *
   * @throws SupervisorError `INVALID_OPTIONS`
   */
  pause(options: { reason: string; until?: Date | number | undefined }): void {
    const { reason, until } = parseInput(pauseOptions, options, 'pool.pause');
    this.#pool().pause(reason, until);
  }

  /** Ends the pause, whoever began it; does nothing if there is none. */
  resume(): void {
    this.#pool().resume();
  }
}
