import { setImmediate } from '../../os/clock.ts';
import type { Timers } from '../../os/running-time.ts';
import type { Limit, StreamActivity } from './limit.ts';
import type { Sampler } from './sampler.ts';

/**
 * The part of the limit after which we look again. To see that something has changed takes up to one
 * such part, and that nothing has changed for long enough another: an end comes within a quarter of
 * the limit after it was due, with time to spare for a machine that is busy.
 */
const POLL_PART = 1 / 10;
const MIN_POLL_MS = 10;

/**
 * Ends what has been idle for `ms`.
 *
 * An agent whose frames we read is idle when its turn is over and nothing is said on stdin and stdout:
 * a tool that sleeps, or a model that is slow, is a turn that is not over. Anything else is idle when
 * nothing goes through its streams, its tree uses no CPU time and it has no descendant.
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
      // What cannot be told is no idleness.
      if (descendants > 0 || cpuTimeMs === undefined) quiet.interrupt();
      else if (quietMs >= ms)
        end('idle', `no input, no output, no CPU time and no descendant for ${ms} ms`);
    });
  };
}

/** For how long a state has not changed, as far as whoever looks now and then can tell. */
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

/** Calls back again and again, each time after the loop has polled: if the host was blocked, what was said is not read yet. */
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
