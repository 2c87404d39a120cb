/** Time, as the stations see it: injected, so that tests need not wait. */
export interface Clock {
  /** Wall clock, ms since 1970: for stamps. */
  now(): number;
  /** Monotonic, in ms: for durations. */
  monotonicMs(): number;
  /** Calls back once after `ms`; the timer keeps a host alive only with `keepAlive`. Returns its cancellation. */
  after(ms: number, callback: () => void, options?: { keepAlive?: boolean }): () => void;
}

/** Longest delay that a timer of the runtime takes; longer ones fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(ms, callback, { keepAlive = false } = {}) {
    let timer: NodeJS.Timeout;
    const arm = (leftMs: number): void => {
      timer =
        leftMs > MAX_TIMER_MS
          ? setTimeout(arm, MAX_TIMER_MS, leftMs - MAX_TIMER_MS)
          : setTimeout(callback, leftMs);
      if (!keepAlive) timer.unref();
    };
    arm(Math.max(0, ms));
    return () => clearTimeout(timer);
  },
};
