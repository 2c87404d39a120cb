/** A clock for durations, with its timers. */
export interface Timers {
  /** Monotonic time in ms, for durations. */
  monotonicMs(): number;
  /**
   * Calls back once after `ms` and returns a function that cancels. The timer keeps the host alive
   * only with `keepAlive`.
   */
  after(ms: number, callback: () => void, options?: { keepAlive?: boolean }): () => void;
}

/**
 * Timers that do not count gaps: SIGSTOP, a paused container, a frozen machine. A host that blocks
 * its own event loop for as long looks the same.
 */
export interface RunningTime extends Timers {
  /** Records gaps until it is stopped. */
  watch(): GapWatch;
}

export interface GapWatch {
  /** Time for which the host was stopped since the watch began. */
  readonly pausedMs: number;
  stop(): void;
}

/** A longer time between two ticks is a gap. */
export const GAP_MS = 2000;
const TICK_MS = 500;

/** Detects gaps by ticks, which run only while somebody watches or waits. */
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
        // Timers may fire slightly early: only a gap is a reason to wait on.
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

  /** Each reading of the clock is a tick, so that the first one after a gap detects it. */
  #tick(): number {
    const nowMs = this.#timers.monotonicMs();
    if (!this.#isTicking) return nowMs;
    const sinceMs = nowMs - this.#tickedAtMs;
    if (sinceMs > GAP_MS) this.#pausedMs += sinceMs;
    this.#tickedAtMs = nowMs;
    return nowMs;
  }

  /**
   * Ticks until nobody watches at a tick, so that a caller who polls stays watched between its
   * calls.
   */
  #goOn(): void {
    this.#timers.after(TICK_MS, () => {
      this.#tick();
      this.#isTicking = this.#watchers > 0;
      if (this.#isTicking) this.#goOn();
    });
  }
}
