import { createRequire } from 'node:module';
import type { Usage } from './os.ts';

const require = createRequire(import.meta.url);

/** How many are asked for at once: to open a thousand files holds the event loop for longer than any slice. */
const PIDS_PER_SLICE = 200;

/**
 * Samples CPU and memory of many processes, asynchronously; who is gone is left out.
 *
 * pidusage is loaded at the first sample: most hosts never take one.
 */
export async function sampleUsage(pids: readonly number[]): Promise<ReadonlyMap<number, Usage>> {
  const usage = new Map<number, Usage>();
  if (pids.length === 0) return usage;
  const pidusage = require('pidusage') as typeof import('pidusage');
  for (let at = 0; at < pids.length; at += PIDS_PER_SLICE) {
    const stats = await pidusage(pids.slice(at, at + PIDS_PER_SLICE)).catch(() => ({}));
    for (const [pid, stat] of Object.entries(stats)) {
      // pidusage gives null for a process that is gone, whatever its types say.
      if (stat) {
        const { cpu: cpuPercent, ctime: cpuTimeMs, memory: rssBytes } = stat;
        usage.set(Number(pid), { cpuPercent, cpuTimeMs, rssBytes });
      }
    }
  }
  return usage;
}
