import { setImmediate as turn } from 'node:timers/promises';
import type { Clock } from '../os/clock.ts';
import { GAP_MS, type RunningTime } from '../os/running-time.ts';

interface Timer {
  /** In running time if `isRunning`, else in the clock's own time. */
  readonly atMs: number;
  readonly isRunning: boolean;
  readonly callback: () => void;
  readonly keepAlive: boolean;
}

/** Uptime of the machine when the clock was made. */
const UPTIME_MS = 7_200_000;
/** Turns of the event loop after which all follow-up work counts as done. */
const SETTLE_TURNS = 6;

/** A pending timer. */
export interface FakeTimer {
  readonly inMs: number;
  readonly keepAlive: boolean;
}

/**
 * A clock that stands still until a test moves it, for `createTestSupervisor({ clock })`.
 *
 * The supervisor measures time-outs, limits, the ladder's steps and sweeps by it. Real processes still
 * start, answer and die in real time. Its three times (wall, monotonic, since boot) have different
 * values, so that a test notices a mix-up. `freeze` stands for a stopped host: its `running` time leaves
 * the freeze out.
 *
 * @example
 * ```ts
 * const clock = new FakeClock();
 * await using supervisor = createTestSupervisor({ clock, session: { maxWallClockMs: 3_600_000 } });
 * await clock.advance(3_600_001);
 * ```
 */
export class FakeClock implements Clock {
  /** Monotonic time without the time in `freeze`. */
  readonly running: RunningTime = {
    monotonicMs: () => this.#elapsedMs - this.#frozenMs,
    after: (ms, callback, options) => this.#set(ms, callback, true, options),
    watch: () => {
      const pausedMs = (): number => this.#frozenMs - beforeMs;
      const beforeMs = this.#frozenMs;
      return {
        get pausedMs() {
          return pausedMs();
        },
        stop: () => undefined,
      };
    },
  };
  #elapsedMs = 0;
  #frozenMs = 0;
  #wallMs = Date.UTC(2026, 10, 23);
  #timers = new Set<Timer>();
  /** Pending work in real time, such as looks at the process table. */
  readonly #work = new Set<Promise<unknown>>();
  readonly #timersAllowed: boolean;

  /** With `timers: false`, setting a timer throws. */
  constructor({ timers = true }: { timers?: boolean } = {}) {
    this.#timersAllowed = timers;
  }

  /** The wall clock, in ms since 1970. */
  now(): number {
    return this.#wallMs;
  }

  /** Monotonic, in ms since the clock was made. */
  monotonicMs(): number {
    return this.#elapsedMs;
  }

  /** Monotonic, in ms since the boot of a machine that had been up for two hours. */
  sinceBootMs(): number {
    return UPTIME_MS + this.#elapsedMs;
  }

  /** Calls back once after `ms` of this clock; returns a function that cancels it. */
  after(ms: number, callback: () => void, options?: { keepAlive?: boolean }): () => void {
    return this.#set(ms, callback, false, options);
  }

  /** The pending timers, soonest first. */
  get timers(): readonly FakeTimer[] {
    return this.#sorted().map((timer) => ({
      inMs: this.#dueMs(timer) - this.#elapsedMs,
      keepAlive: timer.keepAlive,
    }));
  }

  /** Sets the wall clock to `ms` since 1970, as an operator or NTP does. Durations do not change. */
  setWall(ms: number): void {
    this.#wallMs = ms;
  }

  /** Stands still for `ms`, as a stopped host does. Up to 2 s count as running time. */
  async freeze(ms: number): Promise<void> {
    if (ms > GAP_MS) this.#frozenMs += ms;
    this.#pass(this.#elapsedMs + ms);
    await this.advance(0);
  }

  /** Lets time pass, and fires due timers in order, each after the follow-up work of the last. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#elapsedMs + ms;
    await this.settle();
    for (;;) {
      const [next] = this.#sorted();
      if (next === undefined || this.#dueMs(next) > untilMs) break;
      this.#pass(Math.max(this.#elapsedMs, this.#dueMs(next)));
      this.#timers.delete(next);
      next.callback();
      await this.settle();
    }
    this.#pass(untilMs);
  }

  /** Fires all timers that are due within `ms` in the same tick. */
  advanceInOneTick(ms: number): void {
    this.#pass(this.#elapsedMs + ms);
    for (const timer of this.#sorted()) {
      if (this.#dueMs(timer) > this.#elapsedMs || !this.#timers.delete(timer)) continue;
      timer.callback();
    }
  }

  /** Runs all pending work that needs no time, a supervisor's own looks at the system included. */
  async settle(): Promise<void> {
    for (let left = SETTLE_TURNS; left > 0; left--) {
      await turn();
      if (this.#work.size === 0) continue;
      await Promise.all(this.#work);
      left = SETTLE_TURNS;
    }
  }

  /** @internal Lets no time pass until a promise settles. */
  waitFor<T>(work: Promise<T>): Promise<T> {
    const settled = Promise.allSettled([work]);
    this.#work.add(settled);
    void settled.then(() => this.#work.delete(settled));
    return work;
  }

  /** Lets time pass until `promise` settles; throws if that takes longer than `limitMs`. */
  async until<T>(promise: Promise<T>, limitMs = 60_000): Promise<T> {
    let settled = false;
    const mark = (): void => {
      settled = true;
    };
    promise.then(mark, mark);
    const deadlineMs = this.#elapsedMs + limitMs;
    await this.settle();
    while (!settled) {
      const [next] = this.#sorted();
      if (next === undefined || this.#dueMs(next) > deadlineMs) {
        throw new Error(`not settled within ${limitMs} ms; timers: ${JSON.stringify(this.timers)}`);
      }
      await this.advance(this.#dueMs(next) - this.#elapsedMs);
    }
    return promise;
  }

  #set(
    ms: number,
    callback: () => void,
    isRunning: boolean,
    { keepAlive = false }: { keepAlive?: boolean } = {},
  ): () => void {
    if (!this.#timersAllowed) throw new Error(`unexpected timer of ${ms} ms`);
    if (Number.isNaN(ms)) throw new Error('a timer of NaN ms');
    const fromMs = isRunning ? this.running.monotonicMs() : this.#elapsedMs;
    const timer = { atMs: fromMs + Math.max(0, ms), isRunning, callback, keepAlive };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  #dueMs({ atMs, isRunning }: Timer): number {
    return isRunning ? atMs + this.#frozenMs : atMs;
  }

  #pass(toMs: number): void {
    this.#wallMs += toMs - this.#elapsedMs;
    this.#elapsedMs = toMs;
  }

  #sorted(): Timer[] {
    return [...this.#timers].sort((a, b) => this.#dueMs(a) - this.#dueMs(b));
  }
}
