import type { Clock } from './clock.ts';
import type { Usage } from './os.ts';

/** CPU times count in ticks of 10 ms: a share of less than this time would be noise. */
const MIN_SPAN_MS = 200;
/** A share is of at least this time, however often it is asked for. */
const BASE_MS = 500;
/** Nobody has asked for so long: it is gone, or its next share is one since its start. */
const FORGET_MS = 120_000;

/** A process's CPU time and memory, as the system reports them. */
export interface Measured {
  readonly cpuTimeMs: number;
  readonly rssBytes: number;
  /** Since its start. */
  readonly ageMs: number;
}

interface Known {
  base: { readonly cpuTimeMs: number; readonly atMs: number };
  seenAtMs: number;
  ageMs: number;
  cpuPercent: number;
}

/**
 * Computes the share of a core that each process has used since the previous sample.
 *
 * The first sample covers the time since the process's start.
 */
export class CpuShares {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #known = new Map<number, Known>();

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock;
  }

  /** Number of processes remembered. */
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
