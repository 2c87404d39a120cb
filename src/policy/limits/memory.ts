import type { Os } from '../../os/os.ts';
import type { Limit } from './limit.ts';
import type { Sample, Sampler } from './sampler.ts';

/** Ends a tree whose memory, summed over its processes, exceeds `limitBytes`. */
export function memoryLimit(limitBytes: number, os: Pick<Os, 'pss'>, sampler: Sampler): Limit {
  return (process, end) =>
    sampler.watch(process, undefined, async (sample) => {
      const { bytes, unit } = await treeBytes(sample, limitBytes, os);
      if (bytes <= limitBytes) return;
      const count = sample.usage.length;
      const processes = count === 1 ? '1 process' : `${count} processes`;
      const used = `${mebibytes(bytes)} (${unit}) in ${processes}`;
      end('memory', `${used}, over the limit of ${mebibytes(limitBytes)}`);
    });
}

/**
 * Sums up a tree's memory. Resident sets count shared memory once per process. So only if their sum
 * exceeds the limit are the proportional shares read, for which the kernel walks all pages.
 */
async function treeBytes(
  { usage }: Sample,
  limitBytes: number,
  { pss }: Pick<Os, 'pss'>,
): Promise<{ bytes: number; unit: 'RSS' | 'PSS' }> {
  const rss = usage.reduce((sum, { rssBytes }) => sum + rssBytes, 0);
  if (rss <= limitBytes || pss === undefined) return { bytes: rss, unit: 'RSS' };
  const shares = await pss(usage.map(({ pid }) => pid));
  // A process that hides its share counts with its resident set.
  const bytes = usage.reduce((sum, { pid, rssBytes }) => sum + (shares.get(pid) ?? rssBytes), 0);
  return { bytes, unit: 'PSS' };
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
