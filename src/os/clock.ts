import { uptime } from 'node:os';
import { type RunningTime, TickingTime, type Timers } from './running-time.ts';

// Kept from import time: tests that fake the global timers must not stop the waits for real
// processes.
export const { clearTimeout, queueMicrotask, setImmediate, setTimeout } = globalThis;
const { performance } = globalThis;

/** The clock of all timed code; injected, so that tests need not wait. */
export interface Clock extends Timers {
  /** Wall clock in ms since 1970, for time stamps. */
  now(): number;
  /**
   * Monotonic clock in ms since the machine's boot, the same in all processes. On Linux it does not
   * count the time in which the machine slept.
   */
  sinceBootMs(): number;
  /**
   * A clock that does not count the time in which the host was stopped or suspended. For limits,
   * deadlines and waits for processes that may have been stopped with the host.
   */
  readonly running: RunningTime;
}

const { hrtime } = process;
const hrtimeMs = (): number => Number(hrtime.bigint()) / 1e6;
/** In Bun, hrtime starts with the process, as performance.now does. */
let isSinceBoot: boolean | undefined;
let startedAtMs: number | undefined;

/**
 * Derives the process start from the machine's uptime, which has whole seconds under Bun. A delay
 * between the two readings makes a sample too small, so the largest sample is the best.
 */
function startAfterBootMs(): number {
  const samples = Array.from({ length: 5 }, () => uptime() * 1000 - performance.now());
  return Math.max(...samples);
}

/** Longest delay of a runtime's timer; longer ones fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

const timers: Timers = {
  monotonicMs: () => performance.now(),
  after(ms, callback, options) {
    if (ms > MAX_TIMER_MS) return afterLong(ms, callback, options);
    const timer = setTimeout(callback, Math.max(0, ms));
    if (!options?.keepAlive) timer.unref();
    return () => clearTimeout(timer);
  },
};

/** Chains timers until the remaining delay is short enough for one. */
const afterLong: Timers['after'] = (ms, callback, options) => {
  const goOn = (): void => {
    cancel = timers.after(ms - MAX_TIMER_MS, callback, options);
  };
  let cancel = timers.after(MAX_TIMER_MS, goOn, options);
  return () => cancel();
};

export const systemClock: Clock = {
  ...timers,
  now: () => Date.now(),
  sinceBootMs() {
    isSinceBoot ??= hrtimeMs() - performance.now() > 1000;
    if (isSinceBoot) return hrtimeMs();
    startedAtMs ??= startAfterBootMs();
    return startedAtMs + performance.now();
  },
  running: new TickingTime(timers),
};

/** Resolves after `ms`, or when the signal aborts; keeps the host alive until then. */
export function sleep(
  ms: number,
  timers: Pick<Timers, 'after'>,
  signal?: AbortSignal,
): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const end = (): void => {
      cancel();
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const cancel = timers.after(ms, end, { keepAlive: true });
    signal?.addEventListener('abort', end);
  });
}

/** Lets everything else go first that is due now. */
export const turnOfLoop = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Longest time for which a slice of work may block the event loop. */
const SLICE_MS = 4;

/**
 * Cuts a long computation into slices: called between its steps, it yields to the event loop now
 * and then.
 */
export function sliced(clock: Pick<Clock, 'monotonicMs'>): () => Promise<void> | undefined {
  let startMs = clock.monotonicMs();
  return () => {
    if (clock.monotonicMs() - startMs < SLICE_MS) return undefined;
    return turnOfLoop().then(() => {
      startMs = clock.monotonicMs();
    });
  };
}
