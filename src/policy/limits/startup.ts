import { setImmediate } from '../../os/clock.ts';
import type { Timers } from '../../os/running-time.ts';
import type { Limit } from './limit.ts';

/** Ends what has said nothing `ms` after its launch: an agent on stdout, anything else there or on stderr. */
export function startupLimit(ms: number, time: Timers): Limit {
  return ({ activity }, end) => {
    if (activity === undefined) return () => undefined;
    const check = (): void => {
      const said = activity.stdout + (activity.agent === undefined ? activity.stderr : 0);
      if (said === 0) end('startup', `no output within ${ms} ms`);
    };
    // After the loop has polled: if the host was blocked, the timer is due before the output is read.
    return time.after(ms, () => void setImmediate(check));
  };
}
