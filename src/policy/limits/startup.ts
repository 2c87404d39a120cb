import { setImmediate } from '../../os/clock.ts';
import type { Timers } from '../../os/running-time.ts';
import type { Limit } from './limit.ts';

/**
 * Ends a process without output `ms` after its launch. For an agent only stdout counts, for any
 * other process stderr too.
 */
export function startupLimit(ms: number, time: Timers): Limit {
  return ({ activity }, end) => {
    if (activity === undefined) return () => undefined;
    const check = (): void => {
      const said = activity.stdout + (activity.agent === undefined ? activity.stderr : 0);
      if (said === 0) end('startup', `no output within ${ms} ms`);
    };
    // After the event loop has polled: in a blocked host the timer is due before the output is
    // read.
    return time.after(ms, () => void setImmediate(check));
  };
}
