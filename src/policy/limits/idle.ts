import { setImmediate } from '../../os/clock.ts';
import type { Timers } from '../../os/running-time.ts';
import type { Limit, StreamActivity } from './limit.ts';
import type { Sampler } from './sampler.ts';

/**
 * Polling interval as a part of the limit. To notice a change takes up to one interval, and to
 * notice that the limit is reached another one. So an end comes at most a quarter of the limit
 * late, with time to spare on a busy machine.
 */
const POLL_PART = 1 / 10;
const MIN_POLL_MS = 10;

/**
 * Ends a process that has been idle for `ms`.
 *
 * An agent whose output is parsed is idle when its turn is over and nothing passes on stdin and
 * stdout. A sleeping tool or a slow model belongs to a turn that is not over. Any other process is
 * idle when nothing passes through its streams, its tree uses no CPU time and it has no descendant.
 */
export function idleLimit(ms: number, time: Timers, sampler: Sampler): Limit {
  const everyMs = Math.max(MIN_POLL_MS, ms * POLL_PART);
  return (process, end) => {
    const { activity } = process;
    if (activity === undefined) return () => undefined;
    const quiet = new Quiet(time);
    const { agent } = activity;
    if (agent !== undefined) {
      return poll(everyMs, time, () => {
        const quietMs = quiet.forMs(`${activity.stdin} ${activity.stdout}`);
        if (quietMs >= ms && agent.turnOver)
          end('idle', `its turn was over, and nothing was said for ${ms} ms`);
      });
    }
    return sampler.watch(process, everyMs, ({ descendants, cpuTimeMs }) => {
      const quietMs = quiet.forMs(`${bytes(activity)} ${cpuTimeMs}`);
      // A process that could not be measured is not idle.
      if (descendants > 0 || cpuTimeMs === undefined) quiet.interrupt();
      else if (quietMs >= ms)
        end('idle', `no input, no output, no CPU time and no descendant for ${ms} ms`);
    });
  };
}

/** Measures for how long a state has not changed, as far as polling can tell. */
class Quiet {
  readonly #time: Timers;
  #state: string | undefined;
  #sinceMs = 0;

  constructor(time: Timers) {
    this.#time = time;
  }

  forMs(state: string): number {
    const nowMs = this.#time.monotonicMs();
    if (state !== this.#state) this.#sinceMs = nowMs;
    this.#state = state;
    return nowMs - this.#sinceMs;
  }

  interrupt(): void {
    this.#state = undefined;
  }
}

function bytes({ stdin, stdout, stderr }: StreamActivity): string {
  return `${stdin} ${stdout} ${stderr}`;
}

/**
 * Calls back repeatedly, each time after the event loop has polled. After a blocked event loop the
 * output has to be read first.
 */
function poll(everyMs: number, time: Timers, check: () => void): () => void {
  let cancel = (): void => undefined;
  const again = (): void => {
    cancel = time.after(everyMs, () => {
      again();
      setImmediate(check);
    });
  };
  again();
  return () => cancel();
}
