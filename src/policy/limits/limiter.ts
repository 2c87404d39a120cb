import type { Os } from '../../os/os.ts';
import type { Traffic } from '../../process/activity.ts';
import type { ExitCause } from '../../reports.ts';
import { idleLimit } from './idle.ts';
import { lifetimeLimit } from './lifetime.ts';
import type { ProcessLimits } from './limits.ts';
import { memoryLimit } from './memory.ts';
import { type Sampled, Sampler } from './sampler.ts';
import { startupLimit } from './startup.ts';

/** The parts of a process that a limit reads. */
export interface Limited extends Sampled {
  /** Present if the process has streams and their bytes are counted. */
  readonly traffic: Traffic | undefined;
}

/** Ends a process; `reason` contains the value that exceeded the limit. */
type End = (cause: ExitCause, reason: string) => void;

/**
 * A limit: watches a process from now on and ends it if necessary; returns a function that stops.
 */
export type Limit = (process: Limited, end: End) => () => void;

/** The other parts of a process that the {@link Limiter.arm} call uses. */
interface Endable extends Limited {
  running(): boolean;
  readonly ending: boolean;
  end(cause: ExitCause, options: object, reason: string): Promise<unknown>;
}

/** Arms the limits of one supervisor's processes. */
export class Limiter {
  readonly #os: Os;
  readonly #sampler: Sampler;

  constructor(os: Os, sampling: { readonly intervalMs: number }) {
    this.#os = os;
    this.#sampler = new Sampler(os, sampling);
  }

  /** Arms every limit that is on; returns a function that disarms them all. */
  arm(process: Endable, limits: ProcessLimits): () => void {
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
