import { systemClock } from './clock.ts';
import { CpuShares, type Measured } from './cpu-shares.ts';
import { linuxUsage } from './linux-usage.ts';
import type { Usage } from './os.ts';

/** Most pids per call: they have to fit into a command line. */
const PIDS_PER_SLICE = 200;

const shares = new CpuShares(systemClock);

/** Samples CPU and memory of many processes; leaves out those that have exited. */
export async function sampleUsage(pids: readonly number[]): Promise<ReadonlyMap<number, Usage>> {
  if (pids.length === 0) return new Map();
  const isLinux = process.platform === 'linux';
  return shares.of(isLinux ? await linuxUsage(pids, systemClock) : await askPidusage(pids));
}

/**
 * Measures with a child process (not on Linux), which keeps no file open. Loaded at first use: most
 * hosts never take a sample.
 */
async function askPidusage(pids: readonly number[]): Promise<ReadonlyMap<number, Measured>> {
  const measured = new Map<number, Measured>();
  const { default: pidusage } = await import('pidusage');
  for (let at = 0; at < pids.length; at += PIDS_PER_SLICE) {
    const stats = await pidusage(pids.slice(at, at + PIDS_PER_SLICE)).catch(() => ({}));
    for (const [pid, stat] of Object.entries(stats)) {
      // pidusage returns null for a process that has exited, whatever its types say.
      if (!stat) continue;
      const { ctime: cpuTimeMs, memory: rssBytes, elapsed: ageMs } = stat;
      measured.set(Number(pid), { cpuTimeMs, rssBytes, ageMs });
    }
  }
  return measured;
}
