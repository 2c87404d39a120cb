import { type Clock, systemClock } from './clock.ts';
import { linuxUsage } from './linux-usage.ts';
import type { Usage } from './os.ts';

/** Most pids per call: they have to fit into a command line. */
const PIDS_PER_SLICE = 200;
/** CPU times count in ticks of 10 ms: over a shorter time a share would be noise. */
const MIN_SPAN_MS = 200;
/** Shortest time over which a share is measured, however often it is read. */
const BASE_MS = 500;
/** A process that is not read for this long is forgotten; its next share counts from its start. */
const FORGET_MS = 120_000;

/** CPU time and memory of a process, as the system tells them. */
export interface Measured {
  readonly cpuTimeMs: number;
  readonly rssBytes: number;
  /** Time since the process started. */
  readonly ageMs: number;
}

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

interface Known {
  base: { readonly cpuTimeMs: number; readonly atMs: number };
  seenAtMs: number;
  ageMs: number;
  cpuPercent: number;
}

/**
 * Each process's share of a core since the previous sample; in its first sample, since its start.
 */
export class CpuShares {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #known = new Map<number, Known>();

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock;
  }

  /** Number of processes that are remembered. */
  get size(): number {
    return this.#known.size;
  }

  of(measured: ReadonlyMap<number, Measured>): ReadonlyMap<number, Usage> {
    const nowMs = this.#clock.monotonicMs();
    const usage = new Map<number, Usage>();
    for (const [pid, one] of measured) {
      const { cpuTimeMs, rssBytes } = one;
      usage.set(pid, { cpuPercent: this.#percent(pid, one, nowMs), cpuTimeMs, rssBytes });
    }
    for (const [pid, { seenAtMs }] of this.#known)
      if (nowMs - seenAtMs > FORGET_MS) this.#known.delete(pid);
    return usage;
  }

  #percent(pid: number, { cpuTimeMs, ageMs }: Measured, nowMs: number): number {
    const known = this.#known.get(pid);
    const isSame = known !== undefined && ageMs >= known.ageMs && cpuTimeMs >= known.base.cpuTimeMs;
    if (!isSame) {
      const cpuPercent = ageMs > 0 ? (100 * cpuTimeMs) / ageMs : 0;
      this.#known.set(pid, {
        base: { cpuTimeMs, atMs: nowMs },
        seenAtMs: nowMs,
        ageMs,
        cpuPercent,
      });
      return cpuPercent;
    }
    const spanMs = nowMs - known.base.atMs;
    if (spanMs >= MIN_SPAN_MS)
      known.cpuPercent = (100 * (cpuTimeMs - known.base.cpuTimeMs)) / spanMs;
    if (spanMs >= BASE_MS) known.base = { cpuTimeMs, atMs: nowMs };
    known.seenAtMs = nowMs;
    known.ageMs = ageMs;
    return known.cpuPercent;
  }
}

const shares = new CpuShares(systemClock);
