import type { BreakerMemory } from '../store/service-file.ts';

export interface BreakerOptions {
  readonly failures: number;
  readonly openMs: number;
}

/**
 * Counts failures in a row and opens when there are too many. Nothing is started while it is open.
 * Then one start may show that it works again; a failure opens it anew.
 */
export class Breaker {
  readonly #options: BreakerOptions;
  readonly #memory: BreakerMemory;

  constructor(options: BreakerOptions, memory: BreakerMemory) {
    this.#options = options;
    this.#memory = memory;
  }

  /** For how much longer it is open; 0 if a start may be tried. */
  get openForMs(): number {
    return this.#memory.read().openForMs;
  }

  /** Counts a failure; returns for how long it is open now. */
  fail(): number {
    const failures = this.#memory.read().failures + 1;
    const openForMs = failures >= this.#options.failures ? this.#options.openMs : 0;
    this.#memory.write({ failures, openForMs });
    return openForMs;
  }

  /** Opens it whatever has been counted, for at least its own time; returns for how long. */
  open(forMs = 0): number {
    const { failures } = this.#memory.read();
    const openForMs = Math.max(forMs, this.#options.openMs);
    // A single failure after it is enough to open it again.
    this.#memory.write({ failures: Math.max(failures, this.#options.failures), openForMs });
    return openForMs;
  }

  /** It works. */
  reset(): void {
    if (this.#memory.read().failures > 0) this.#memory.write({ failures: 0, openForMs: 0 });
  }
}
