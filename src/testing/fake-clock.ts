import { setImmediate as turn } from 'node:timers/promises';
import type { Clock } from '../os/clock.ts';
import { GAP_MS, type RunningTime } from '../os/running-time.ts';

interface Timer {
  /** On the clock's own time, or on its running time. */
  readonly atMs: number;
  readonly isRunning: boolean;
  readonly callback: () => void;
  readonly keepAlive: boolean;
}

/** How long the machine had been up when the clock was made. */
const UPTIME_MS = 7_200_000;
/** How many turns of the event loop count as "whatever follows from this has happened". */
const SETTLE_TURNS = 6;

/** A timer that is set: when it is due, and whether it keeps a host alive. */
export interface FakeTimer {
  readonly inMs: number;
  readonly keepAlive: boolean;
}

/**
 * A clock that stands still until a test moves it, for `createTestSupervisor({ clock })`.
 *
 * All that the supervisor measures and waits for goes by it: time-outs, limits, the ladder's steps,
 * sweeps. What real processes do does not: they start, answer and die in real time. Its three times
 * (wall, monotonic, since boot) differ, so that none is taken for the other. `freeze` is a host that
 * stands still: its `running` time goes on without that.
 *
 * @example
 * ```ts
 * const clock = new FakeClock();
 * await using supervisor = createTestSupervisor({ clock, session: { maxWallClockMs: 3_600_000 } });
 * await clock.advance(3_600_001);
 * ```
 */
export class FakeClock implements Clock {
  /** The same without the time that was frozen. */
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
  /** What takes real time: looks at the process table, say. */
  readonly #work = new Set<Promise<unknown>>();
  readonly #timersAllowed: boolean;

  /** With `timers: false`, whoever sets a timer fails. */
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

  /** Calls back once after `ms` of this clock; returns its cancellation. */
  after(ms: number, callback: () => void, options?: { keepAlive?: boolean }): () => void {
    return this.#set(ms, callback, false, options);
  }

  /** The timers that are set, soonest first. */
  get timers(): readonly FakeTimer[] {
    return this.#sorted().map((timer) => ({
      inMs: this.#dueMs(timer) - this.#elapsedMs,
      keepAlive: timer.keepAlive,
    }));
  }

  /** Sets the wall clock to `ms` since 1970, as an operator or NTP does it; durations must not notice. */
  setWall(ms: number): void {
    this.#wallMs = ms;
  }

  /** Stands still for `ms`, as a host does that is stopped; up to 2 s are no gap, and nothing that waits notices. */
  async freeze(ms: number): Promise<void> {
    if (ms > GAP_MS) this.#frozenMs += ms;
    this.#pass(this.#elapsedMs + ms);
    await this.advance(0);
  }

  /** Lets time pass: fires what is due, in order, and after each lets follow what follows from it. */
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

  /** Fires, in one and the same tick, whatever is due within `ms`. */
  advanceInOneTick(ms: number): void {
    this.#pass(this.#elapsedMs + ms);
    for (const timer of this.#sorted()) {
      if (this.#dueMs(timer) > this.#elapsedMs || !this.#timers.delete(timer)) continue;
      timer.callback();
    }
  }

  /** Lets everything happen that needs no time, a supervisor's own looks at the system included. */
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

  /** Lets time pass until `promise` settles; fails if it takes longer than `limitMs`. */
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
