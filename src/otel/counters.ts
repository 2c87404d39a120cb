import type { Meter } from '@opentelemetry/api';
import type { Supervisor } from '../index.ts';
import { ACTION, CAUSE, CODE, ERROR_TYPE, FORCED, KIND, STATE } from './attributes.ts';

/** Counts what the events tell; returns how to stop. */
export function countEvents(supervisor: Supervisor, meter: Meter): () => void {
  const counter = (name: string, unit: string, description: string) =>
    meter.createCounter(`agent_supervisor.${name}`, { unit: `{${unit}}`, description });
  const ends = counter('process.ends', 'process', 'Processes that are gone with their whole tree.');
  const refusals = counter('process.refusals', 'request', 'Requests that started nothing.');
  const restarts = counter('process.restarts', 'restart', 'Restarts after a crash.');
  const leftovers = counter(
    'process.leftovers',
    'process',
    'Descendants that outlived their process.',
  );
  const survivors = counter(
    'process.survivors',
    'process',
    'Processes that could not be ended in time.',
  );
  const orphans = counter('orphans', 'process', 'Processes without a purpose, ended by sweeps.');
  const expired = counter('sessions.expired', 'session', 'Sessions that lasted too long.');
  const services = counter('service.transitions', 'transition', 'Services that changed state.');
  const warnings = counter('warnings', 'warning', 'Things to know that stopped nothing.');
  const offs = [
    supervisor.on('exited', ({ kind, cause, forced }) => {
      ends.add(1, { [KIND]: kind, [CAUSE]: cause, [FORCED]: forced });
    }),
    supervisor.on('refused', ({ kind, error }) => {
      refusals.add(1, { [KIND]: kind, [ERROR_TYPE]: error.code });
    }),
    supervisor.on('restarting', ({ after: { kind, cause } }) => {
      restarts.add(1, { [KIND]: kind, [CAUSE]: cause });
    }),
    supervisor.on('leftovers', ({ kind, processes, action }) => {
      leftovers.add(processes.length, { [KIND]: kind, [ACTION]: action });
    }),
    supervisor.on('survivors', (event) => {
      survivors.add(event.survivors.length, { [KIND]: event.kind });
    }),
    supervisor.on('swept', (report) => {
      if (report.orphans.length > 0) orphans.add(report.orphans.length);
    }),
    supervisor.on('session-expired', () => expired.add(1)),
    supervisor.on('service', ({ state }) => services.add(1, { [STATE]: state })),
    supervisor.on('warning', ({ code }) => warnings.add(1, { [CODE]: code })),
  ];
  return () => {
    for (const off of offs) off();
  };
}
