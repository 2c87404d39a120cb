import type { Os } from '../../os/os.ts';
import { idleLimit } from './idle.ts';
import { lifetimeLimit } from './lifetime.ts';
import type { Limit, LimitedProcess } from './limit.ts';
import type { ProcessLimits } from './limits.ts';
import { memoryLimit } from './memory.ts';
import { Sampler } from './sampler.ts';
import { startupLimit } from './startup.ts';

/** Arms the limits of one supervisor's processes. */
export class Limiter {
  readonly #os: Os;
  readonly #sampler: Sampler;

  constructor(os: Os, sampling: { readonly intervalMs: number }) {
    this.#os = os;
    this.#sampler = new Sampler(os, sampling);
  }

  /** Arms every limit that is on; returns a function that disarms them all. */
  arm(process: LimitedProcess, limits: ProcessLimits): () => void {
    const disarms = this.#limits(limits).map((arm) =>
      arm(process, (cause, reason) => {
        if (!process.running() || process.ending) return;
        disarm();
        void process.end(cause, {}, reason);
      }),
    );
    const disarm = (): void => {
      for (const off of disarms) off();
    };
    return disarm;
  }

  #limits({ startupMs, idleMs, memoryBytes, lifetimeMs }: ProcessLimits): Limit[] {
    const { running } = this.#os.clock;
    return [
      ...(startupMs === null ? [] : [startupLimit(startupMs, running)]),
      ...(idleMs === null ? [] : [idleLimit(idleMs, running, this.#sampler)]),
      ...(memoryBytes === null ? [] : [memoryLimit(memoryBytes, this.#os, this.#sampler)]),
      ...(lifetimeMs === null ? [] : [lifetimeLimit(lifetimeMs, running)]),
    ];
  }
}
