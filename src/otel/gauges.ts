import type { BatchObservableCallback, Meter } from '@opentelemetry/api';
import type { ProcessInfo, Supervisor } from '../index.ts';
import { KIND, STATE } from './attributes.ts';

const STATES: readonly ProcessInfo['state'][] = ['running', 'ending', 'exited'];

/** Tells how things are at each collection; returns how to stop. */
export function observeGauges(supervisor: Supervisor, meter: Meter): () => void {
  const { snapshot, os } = supervisor.internals;
  const count = (name: string, unit: string, description: string) =>
    meter.createObservableUpDownCounter(`agent_supervisor.${name}`, {
      unit: `{${unit}}`,
      description,
    });
  const processes = count('processes', 'process', 'Supervised processes that are alive.');
  const held = count('slots.held', 'slot', 'Slots that are held.');
  const limit = count('slots.limit', 'slot', 'Slots that there are.');
  const waiting = count('queue.length', 'request', 'Requests that wait for a slot.');
  const oldestWait = meter.createObservableGauge('agent_supervisor.queue.oldest_wait', {
    unit: 's',
    description: 'For how long the oldest of them has waited.',
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
    const { pool } = snapshot();
    const [oldest] = pool.waiting;
    const waitedMs = oldest === undefined ? 0 : os.clock.monotonicMs() - oldest.sinceMs;
    result.observe(held, pool.held);
    result.observe(limit, pool.concurrency);
    result.observe(waiting, pool.waiting.size);
    result.observe(oldestWait, waitedMs / 1000);
  };
  const observed = [processes, held, limit, waiting, oldestWait];
  meter.addBatchObservableCallback(observe, observed);
  return () => meter.removeBatchObservableCallback(observe, observed);
}
