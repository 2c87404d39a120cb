import type { Clock } from '../os/clock.ts';
import type { EndReport, ExitReport } from '../reports.ts';
import { type EndableProcess, type EndOptions, endAll } from '../tree/termination.ts';

export interface ShutdownOptions {
  /** Time for which running processes may finish by themselves, in ms. */
  readonly finishMs: number;
  readonly deadlineMs?: number | undefined;
  readonly reason?: string | undefined;
}

/** The end of everything that runs: by itself for a while, then by the ladder. */
export class Shutdown {
  readonly done: Promise<EndReport>;
  readonly #live: ReadonlyMap<string, EndableProcess>;
  readonly #clock: Clock;
  #ladder: EndOptions;
  #endFinish: () => void = () => undefined;

  constructor(live: ReadonlyMap<string, EndableProcess>, clock: Clock, options: ShutdownOptions) {
    this.#live = live;
    this.#clock = clock;
    this.#ladder = { deadlineMs: options.deadlineMs };
    this.done = this.#run(options);
  }

  /** Takes a later, stricter request into account: live processes have had their time to finish. */
  hurry(options: EndOptions): void {
    this.#ladder = { ...this.#ladder, ...options };
    this.#endFinish();
    for (const live of this.#live.values()) if (live.ending) void live.terminateTree(options);
  }

  async #run({ finishMs, reason }: ShutdownOptions): Promise<EndReport> {
    const beganMs = this.#clock.monotonicMs();
    const ended: ExitReport[] = [];
    const exits = Array.from(this.#mortal(), async (live) => ended.push(await live.exited));
    if (finishMs > 0 && exits.length > 0) {
      await new Promise<void>((resolve) => {
        const cancel = this.#clock.running.after(finishMs, resolve, { keepAlive: true });
        this.#endFinish = () => {
          cancel();
          resolve();
        };
        void Promise.all(exits).then(this.#endFinish);
      });
    }
    const rest = await endAll(this.#mortal(), 'shutdown', reason, this.#clock, this.#ladder);
    return { ...rest, ended, durationMs: this.#clock.monotonicMs() - beganMs };
  }

  #mortal(): EndableProcess[] {
    return [...this.#live.values()].filter((live) => !live.outlivesHost);
  }
}
