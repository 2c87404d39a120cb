import type { Clock } from '../os/clock.ts';
import type { PoolPause } from '../reports.ts';

/** Longest time between two looks at the wall clock, which may jump. */
const LOOK_MS = 30_000;

/** A pause that ends by itself at its time of day. */
export class Pause {
  readonly #clock: Clock;
  readonly #onEnd: (pause: PoolPause) => void;
  #current: PoolPause | undefined;
  #cancelTimer: () => void = () => undefined;

  constructor(clock: Clock, onEnd: (pause: PoolPause) => void) {
    this.#clock = clock;
    this.#onEnd = onEnd;
  }

  get current(): PoolPause | undefined {
    return this.#current;
  }

  /** Begins a pause, in place of the one there is. */
  begin(reason: string, until: number | undefined): PoolPause {
    this.#cancelTimer();
    const since = this.#current?.since ?? this.#clock.now();
    this.#current = { reason, since, until };
    this.#watch();
    return this.#current;
  }

  end(): void {
    const ended = this.#current;
    if (ended === undefined) return;
    this.#cancelTimer();
    this.#current = undefined;
    this.#onEnd(ended);
  }

  #watch(): void {
    const until = this.#current?.until;
    if (until === undefined) return;
    const leftMs = until - this.#clock.now();
    // No longer than that at once: the machine may sleep, and its clock may be set.
    this.#cancelTimer = this.#clock.after(Math.min(Math.max(0, leftMs), LOOK_MS), () => {
      if (this.#clock.now() < until) this.#watch();
      else this.end();
    });
  }
}
