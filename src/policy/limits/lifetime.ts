import type { Timers } from '../../os/running-time.ts';
import type { Limit } from './limit.ts';

/** Ends a process that has run for `ms`, whatever it does. */
export function lifetimeLimit(ms: number, time: Timers): Limit {
  return (_process, end) =>
    time.after(ms, () => end('lifetime', `it has run for ${ms} ms, all that it was given`));
}
