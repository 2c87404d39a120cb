declare global {
  interface ImportMeta {
    readonly env: { readonly MODE: string };
  }
}

/** `vitest run --mode full`. */
const IS_FULL = import.meta.env.MODE === 'full';
const SEED = 20261126;
const FULL_RUNS = 100_000;

/**
 * How often a property is tried: `numRuns` times, always with the same cases. In full mode 100,000
 * times, with other cases each time, of which a failure prints the seed; `costly` divides that number
 * where a case takes milliseconds.
 */
export function runs(numRuns: number, { costly = 1 } = {}): { numRuns: number; seed?: number } {
  return IS_FULL ? { numRuns: FULL_RUNS / costly } : { numRuns, seed: SEED };
}
