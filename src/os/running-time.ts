/** Durations, and the timers that go with them. */
export interface Timers {
  /** Monotonic, in ms: for durations. */
  monotonicMs(): number;
  /** Calls back once after `ms`; the timer keeps a host alive only with `keepAlive`. Returns its cancellation. */
  after(ms: number, callback: () => void, options?: { keepAlive?: boolean }): () => void;
}

/**
 * The same without the gaps, in which the host stood still: SIGSTOP, a paused container, a frozen machine.
 * A host that blocks its own event loop for as long looks no different.
 */
export interface RunningTime extends Timers {
  /** Sees to it that no gap is missed, until it is stopped. */
  watch(): GapWatch;
}

export interface GapWatch {
  /** For how long the host has stood still since the watch began. */
  readonly pausedMs: number;
  stop(): void;
}

/** More than this between two ticks is a gap. */
export const GAP_MS = 2000;
const TICK_MS = 500;

/** Tells gaps by ticks, which come only while somebody watches or waits. */
export class TickingTime implements RunningTime {
  readonly #timers: Timers;
  #pausedMs = 0;
  #watchers = 0;
  #isTicking = false;
  #tickedAtMs = 0;

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  monotonicMs(): number {
    return this.#tick() - this.#pausedMs;
  }

  after(ms: number, callback: () => void, options?: { keepAlive?: boolean }): () => void {
    const watch = this.watch();
    const dueMs = this.monotonicMs() + ms;
    let cancel = (): void => undefined;
    const arm = (leftMs: number): void => {
      const pausedMs = this.#pausedMs;
      const fire = (): void => {
        const missingMs = dueMs - this.monotonicMs();
        // Timers come a little early anyway: only a gap is a reason to go on waiting.
        if (missingMs > 0 && this.#pausedMs > pausedMs) {
          arm(missingMs);
          return;
        }
        watch.stop();
        callback();
      };
      cancel = this.#timers.after(leftMs, fire, options);
    };
    arm(ms);
    return () => {
      cancel();
      watch.stop();
    };
  }

  watch(): GapWatch {
    this.#watchers++;
    const nowMs = this.#tick();
    if (!this.#isTicking) {
      this.#isTicking = true;
      this.#tickedAtMs = nowMs;
      this.#goOn();
    }
    const beforeMs = this.#pausedMs;
    const pausedMs = (): number => {
      this.#tick();
      return this.#pausedMs - beforeMs;
    };
    let isOver = false;
    return {
      get pausedMs() {
        return pausedMs();
      },
      stop: () => {
        if (!isOver) this.#watchers--;
        isOver = true;
      },
    };
  }

  /** Every look at the clock is a tick, too: whoever comes first after a gap sees it. */
  #tick(): number {
    const nowMs = this.#timers.monotonicMs();
    if (!this.#isTicking) return nowMs;
    const sinceMs = nowMs - this.#tickedAtMs;
    if (sinceMs > GAP_MS) this.#pausedMs += sinceMs;
    this.#tickedAtMs = nowMs;
    return nowMs;
  }

  /** Until a tick finds that nobody watches: between the looks of one who polls nobody does, either. */
  #goOn(): void {
    this.#timers.after(TICK_MS, () => {
      this.#tick();
      this.#isTicking = this.#watchers > 0;
      if (this.#isTicking) this.#goOn();
    });
  }
}
