import { createRequire } from 'node:module';
import type { Usage } from './os.ts';

const require = createRequire(import.meta.url);

/**
 * Samples CPU and memory of many processes in one batch, asynchronously; who is gone is left out.
 *
 * pidusage is loaded at the first sample: most hosts never take one.
 */
export async function sampleUsage(pids: readonly number[]): Promise<ReadonlyMap<number, Usage>> {
  const usage = new Map<number, Usage>();
  if (pids.length === 0) return usage;
  const pidusage = require('pidusage') as typeof import('pidusage');
  const stats = await pidusage([...pids]).catch(() => ({}));
  for (const [pid, stat] of Object.entries(stats)) {
    // pidusage gives null for a process that is gone, whatever its types say.
    if (stat) {
      const { cpu: cpuPercent, ctime: cpuTimeMs, memory: rssBytes } = stat;
      usage.set(Number(pid), { cpuPercent, cpuTimeMs, rssBytes });
    }
  }
  return usage;
}
