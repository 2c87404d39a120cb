import type { Timers } from './running-time.ts';

/** The answer of `within` for a work that was not done in time. */
export const LATE = Symbol('late');

/** Resolves to the result of a work, or to `LATE` after `ms`; the work itself goes on. */
export async function within<T>(
  ms: number,
  work: Promise<T>,
  timers: Pick<Timers, 'after'>,
  { keepAlive = true } = {},
): Promise<T | typeof LATE> {
  const { promise: late, resolve } = Promise.withResolvers<typeof LATE>();
  const cancel = timers.after(ms, () => resolve(LATE), { keepAlive });
  return Promise.race([work, late]).finally(cancel);
}

/** Works that are done one after the other. */
export interface Series {
  /** Does a work after all earlier ones, whatever became of them. */
  run<T>(work: () => Promise<T>): Promise<T>;
  /** Resolves when every work so far is done. */
  readonly idle: Promise<unknown>;
}

/** Begins a series of works. */
export function serialize(): Series {
  let last: Promise<unknown> = Promise.resolve();
  return {
    run(work) {
      const done = last.then(work);
      last = done.catch(() => undefined);
      return done;
    },
    get idle() {
      return last;
    },
  };
}
