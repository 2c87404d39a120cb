import type { Supervisor } from '../index.ts';
import { COUNTERS, type Counter } from '../inspect/metrics.ts';

/**
 * The sums of the counters since the first handler of this host was made, by their Prometheus names.
 * Each has a sum for every value of its one label, or one sum at `''`.
 */
export type Tally = ReadonlyMap<string, ReadonlyMap<string, number>>;

// One for each supervisor: a host that makes a handler per request would otherwise leak listeners.
const tallies = new WeakMap<Supervisor, Tally>();

/** Counts a supervisor's events, from the first call until the supervisor is collected. */
export function tallyOf(supervisor: Supervisor): Tally {
  const known = tallies.get(supervisor);
  if (known !== undefined) return known;
  const tally = new Map(
    COUNTERS.flatMap((counter) =>
      counter.prometheus ? [[counter.prometheus.name, count(supervisor, counter)]] : [],
    ),
  );
  tallies.set(supervisor, tally);
  return tally;
}

function count(supervisor: Supervisor, counter: Counter): ReadonlyMap<string, number> {
  const by = counter.prometheus?.by;
  const sums = new Map<string, number>(by === undefined ? [['', 0]] : []);
  supervisor.on(counter.event, (detail) => {
    const { amount, labels } = counter.read(detail as never);
    const key = by === undefined ? '' : String(labels[by.label]);
    sums.set(key, (sums.get(key) ?? 0) + amount);
  });
  return sums;
}
