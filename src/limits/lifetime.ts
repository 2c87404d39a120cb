import type { Clock } from '../os/clock.ts';
import type { Limit } from './limiter.ts';

/** Ends what has run for `ms`, whatever it does. */
export function lifetimeLimit(ms: number, clock: Clock): Limit {
  return (_process, end) =>
    clock.after(ms, () => end('lifetime', `it has run for ${ms} ms, all that it was given`));
}
