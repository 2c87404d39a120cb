import { uptime } from 'node:os';
import { type RunningTime, TickingTime, type Timers } from './running-time.ts';

// Held on to: a test that fakes the global ones must not stop the wait for real processes.
export const { clearTimeout, queueMicrotask, setImmediate, setTimeout } = globalThis;
const { performance } = globalThis;

/** Time, as the stations see it: injected, so that tests need not wait. */
export interface Clock extends Timers {
  /** Wall clock, ms since 1970: for stamps. */
  now(): number;
  /** Monotonic, in ms since the machine's boot, the same in all of its processes; on Linux without the time that it slept. */
  sinceBootMs(): number;
  /** Without the time in which the host stood still: for limits, deadlines, and all that waits for somebody who may have stood still with it. */
  readonly running: RunningTime;
}

const { hrtime } = process;
const hrtimeMs = (): number => Number(hrtime.bigint()) / 1e6;
/** Bun's starts with the process, as performance.now does. */
let isSinceBoot: boolean | undefined;
let startedAtMs: number | undefined;

/** By the machine's uptime, in whole seconds under Bun; whoever is held up in between looks is behind for good, so the best look counts. */
function startAfterBootMs(): number {
  const looks = Array.from({ length: 5 }, () => uptime() * 1000 - performance.now());
  return Math.max(...looks);
}

/** Longest delay that a timer of the runtime takes; longer ones fire at once. */
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

/** One timer after the other, until the last one is short enough. */
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

/** How long one slice of a long work may hold the event loop. */
const SLICE_MS = 4;

/** Cuts a long work into slices: called between its steps, it lets everything else go first now and then. */
export function sliced(clock: Pick<Clock, 'monotonicMs'>): () => Promise<void> | undefined {
  let startMs = clock.monotonicMs();
  return () => {
    if (clock.monotonicMs() - startMs < SLICE_MS) return undefined;
    return turnOfLoop().then(() => {
      startMs = clock.monotonicMs();
    });
  };
}
