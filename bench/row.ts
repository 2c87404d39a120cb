// The contract of a row, and the arithmetic that all rows share.
import type { Chart } from './chart.ts';

/** One line of a row: who, and how it did. */
export interface Figure {
  readonly who: string;
  readonly value: string;
}

/** What a row has measured. */
export interface Measurement {
  /** Ours first, its peers below; medians unless a line says otherwise. */
  readonly figures: readonly Figure[];
  /** Ours compared with the peer that the target names, in the target's words. */
  readonly ratio: string;
  /** Whether the target holds. */
  readonly ok: boolean;
  /** How the figures grow, where they do. */
  readonly chart?: Chart;
}

/** One row of the table: ours and its peers, measured side by side in the same run. */
export interface Row {
  readonly name: string;
  readonly target: string;
  measure(): Promise<Measurement>;
}

/**
 * Runs every contender once a round, in an order drawn by lot, so that none of them profits from the
 * machine's good moments or from who came before. Returns the samples of each.
 */
export async function interleave<Who extends string>(
  rounds: number,
  contenders: Readonly<Record<Who, () => number | Promise<number>>>,
  { warmUp = 0 }: { warmUp?: number } = {},
): Promise<Record<Who, number[]>> {
  const names = Object.keys(contenders) as Who[];
  const samples = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<
    Who,
    number[]
  >;
  for (let round = -warmUp; round < rounds; round++) {
    for (const name of shuffled(names)) {
      // Nobody pays for the garbage of another. A full collection would leave everyone with cold caches,
      // which no host has: it made each of the spawns a third slower.
      globalThis.gc?.({ type: 'minor' });
      const sample = await contenders[name]();
      if (round >= 0) samples[name].push(sample);
    }
  }
  return samples;
}

function shuffled<T>(list: readonly T[]): T[] {
  const lots = new Map(list.map((item) => [item, Math.random()]));
  return [...list].sort((a, b) => (lots.get(a) ?? 0) - (lots.get(b) ?? 0));
}

/** The middle of the samples, or the mean of the two in the middle. */
export function median(samples: readonly number[]): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const [low, high] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]];
  return ((low ?? Number.NaN) + (high ?? Number.NaN)) / 2;
}

export function milliseconds(value: number): string {
  return `${value.toFixed(value < 10 ? 2 : 1)} ms`;
}

export function microseconds(valueMs: number): string {
  return `${(valueMs * 1000).toFixed(1)} µs`;
}

export function times(ratio: number): string {
  return `${ratio.toFixed(ratio < 10 ? 2 : 0)} ×`;
}
