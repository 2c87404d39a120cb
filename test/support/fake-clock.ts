// Time that stands still until a test moves it.
import { setImmediate as turn } from 'node:timers/promises';
import type { Clock } from '../../src/os/clock.ts';

interface Timer {
  readonly atMs: number;
  readonly callback: () => void;
  readonly keepAlive: boolean;
}

/** How long the machine had been up when the clock was made. */
const UPTIME_MS = 7_200_000;
/** How many turns of the event loop count as "whatever follows from this has happened". */
const SETTLE_TURNS = 6;

/** A clock that is advanced by hand. Its three times differ, so that none is taken for the other. */
export class FakeClock implements Clock {
  #elapsedMs = 0;
  #wallMs = Date.UTC(2026, 10, 23);
  #timers = new Set<Timer>();
  readonly #timersAllowed: boolean;

  /** `timers: false`: who sets one fails. */
  constructor({ timers = true }: { timers?: boolean } = {}) {
    this.#timersAllowed = timers;
  }

  now(): number {
    return this.#wallMs;
  }

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  sinceBootMs(): number {
    return UPTIME_MS + this.#elapsedMs;
  }

  after(
    ms: number,
    callback: () => void,
    { keepAlive = false }: { keepAlive?: boolean } = {},
  ): () => void {
    if (!this.#timersAllowed) throw new Error(`unexpected timer of ${ms} ms`);
    if (Number.isNaN(ms)) throw new Error('a timer of NaN ms');
    const timer = { atMs: this.#elapsedMs + Math.max(0, ms), callback, keepAlive };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  /** The timers that are set, soonest first: when they are due, and whether they keep a host alive. */
  get timers(): readonly { readonly inMs: number; readonly keepAlive: boolean }[] {
    return this.#sorted().map(({ atMs, keepAlive }) => ({
      inMs: atMs - this.#elapsedMs,
      keepAlive,
    }));
  }

  /** The wall clock is set, as an operator or NTP does it; durations must not notice. */
  setWall(ms: number): void {
    this.#wallMs = ms;
  }

  /** Lets time pass: fires what is due, in order, and after each lets follow what follows from it. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#elapsedMs + ms;
    await this.settle();
    for (;;) {
      const [next] = this.#sorted();
      if (next === undefined || next.atMs > untilMs) break;
      this.#pass(next.atMs);
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
      if (timer.atMs > this.#elapsedMs || !this.#timers.delete(timer)) continue;
      timer.callback();
    }
  }

  /** Lets everything happen that needs no time. */
  async settle(): Promise<void> {
    for (let left = SETTLE_TURNS; left > 0; left--) await turn();
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
      if (next === undefined || next.atMs > deadlineMs) {
        throw new Error(`not settled within ${limitMs} ms; timers: ${JSON.stringify(this.timers)}`);
      }
      await this.advance(next.atMs - this.#elapsedMs);
    }
    return promise;
  }

  #pass(toMs: number): void {
    this.#wallMs += toMs - this.#elapsedMs;
    this.#elapsedMs = toMs;
  }

  #sorted(): Timer[] {
    return [...this.#timers].sort((a, b) => a.atMs - b.atMs);
  }
}
