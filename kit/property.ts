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
 * The number of runs of a property: `numRuns`, always with the same cases. In full mode it is 100,000,
 * with other cases each time, and a failure prints the seed. `costly` divides that number where a case
 * takes milliseconds.
 */
export function runs(numRuns: number, { costly = 1 } = {}): { numRuns: number; seed?: number } {
  return IS_FULL ? { numRuns: FULL_RUNS / costly } : { numRuns, seed: SEED };
}
