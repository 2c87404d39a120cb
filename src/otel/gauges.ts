import type { BatchObservableCallback, Meter } from '@opentelemetry/api';
import type { ProcessInfo, Supervisor } from '../index.ts';
import { POOL_GAUGES, poolFigures } from '../inspect/metrics.ts';
import { KIND, STATE } from './attributes.ts';

const STATES: readonly ProcessInfo['state'][] = ['running', 'ending', 'exited'];

/** Tells the state of things at each collection; returns how to stop. */
export function observeGauges(supervisor: Supervisor, meter: Meter): () => void {
  const { snapshot } = supervisor.internals;
  const processes = meter.createObservableUpDownCounter('agent_supervisor.processes', {
    unit: '{process}',
    description: 'Supervised processes that are alive.',
  });
  const gauges = POOL_GAUGES.map(({ read, otel: { name, unit, description } }) => {
    const options = { unit, description };
    const full = `agent_supervisor.${name}`;
    // A count can be added up over hosts, a time cannot.
    const isTime = unit === 's';
    const instrument = isTime
      ? meter.createObservableGauge(full, options)
      : meter.createObservableUpDownCounter(full, options);
    return { read, instrument };
  });
  // A kind that has gone is told as none: a reader would keep its last number.
  const kinds = new Set<string>();

  const observe: BatchObservableCallback = (result) => {
    const live = supervisor.list();
    for (const { kind } of live) kinds.add(kind);
    for (const kind of kinds)
      for (const state of STATES) {
        const alike = live.filter((info) => info.kind === kind && info.state === state);
        result.observe(processes, alike.length, { [KIND]: kind, [STATE]: state });
      }
    const figures = poolFigures(snapshot());
    for (const { read, instrument } of gauges) result.observe(instrument, read(figures));
  };
  const observed = [processes, ...gauges.map(({ instrument }) => instrument)];
  meter.addBatchObservableCallback(observe, observed);
  return () => meter.removeBatchObservableCallback(observe, observed);
}
