// The metrics that Prometheus and OpenTelemetry both are told, each under its own names.
import type { SupervisorEvent, SupervisorEvents } from '../index.ts';
import type { SupervisorSnapshot } from '../supervisor/internals.ts';
import type { PoolHealth } from './report.ts';

/** Label names in the code; each writer has its own names for them. */
export type Label = 'kind' | 'cause' | 'forced' | 'error' | 'action' | 'state' | 'code';
export type Labels = Readonly<Partial<Record<Label, string | boolean>>>;

interface PrometheusName {
  readonly name: string;
  readonly help: string;
}

interface OtelName {
  /** After `agent_supervisor.`. */
  readonly name: string;
  readonly unit: string;
  readonly description: string;
}

/** @internal A counter of events. */
export interface Counter {
  readonly event: SupervisorEvent;
  /** Reads what an event adds, and to which labels. */
  read(detail: never): { readonly amount: number; readonly labels: Labels };
  /** Of its labels, Prometheus has one at most, by this name. */
  readonly prometheus?: PrometheusName & {
    readonly by?: { readonly label: Label; readonly name: string };
  };
  readonly otel?: OtelName;
}

type Names = Pick<Counter, 'prometheus' | 'otel'>;

function counter<E extends SupervisorEvent>(
  event: E,
  labels: (detail: SupervisorEvents[E]) => Labels,
  names: Names,
  amount: (detail: SupervisorEvents[E]) => number = () => 1,
): Counter {
  const read = (detail: SupervisorEvents[E]) => ({
    amount: amount(detail),
    labels: labels(detail),
  });
  return { event, read, ...names };
}

/** @internal In the order in which Prometheus is told. */
export const COUNTERS: readonly Counter[] = [
  counter('started', () => ({}), {
    prometheus: { name: 'started_total', help: 'Processes started.' },
  }),
  counter('restarting', ({ after: { kind, cause } }) => ({ kind, cause }), {
    prometheus: { name: 'restarts_total', help: 'Restarts after a crash.' },
    otel: {
      name: 'process.restarts',
      unit: '{restart}',
      description: 'Restarts after a crash.',
    },
  }),
  counter(
    'leftovers',
    ({ kind, action }) => ({ kind, action }),
    {
      prometheus: {
        name: 'leftovers_total',
        help: 'Descendants that outlived their process.',
      },
      otel: {
        name: 'process.leftovers',
        unit: '{process}',
        description: 'Descendants that outlived their process.',
      },
    },
    ({ processes }) => processes.length,
  ),
  counter(
    'survivors',
    ({ kind }) => ({ kind }),
    {
      prometheus: {
        name: 'survivors_total',
        help: 'Processes that could not be ended in time.',
      },
      otel: {
        name: 'process.survivors',
        unit: '{process}',
        description: 'Processes that could not be ended in time.',
      },
    },
    ({ survivors }) => survivors.length,
  ),
  counter('exited', ({ kind, cause, forced }) => ({ kind, cause, forced }), {
    prometheus: {
      name: 'ended_total',
      help: 'Processes that have ended, by cause.',
      by: { label: 'cause', name: 'cause' },
    },
    otel: {
      name: 'process.ends',
      unit: '{process}',
      description: 'Processes that are gone with their whole tree.',
    },
  }),
  counter('refused', ({ kind, error }) => ({ kind, error: error.code }), {
    prometheus: {
      name: 'refused_total',
      help: 'Requests refused, by code.',
      by: { label: 'error', name: 'code' },
    },
    otel: {
      name: 'process.refusals',
      unit: '{request}',
      description: 'Requests that started nothing.',
    },
  }),
  counter('warning', ({ code }) => ({ code }), {
    prometheus: {
      name: 'warnings_total',
      help: 'Warnings, by code.',
      by: { label: 'code', name: 'code' },
    },
    otel: {
      name: 'warnings',
      unit: '{warning}',
      description: 'Things to know that stopped nothing.',
    },
  }),
  counter(
    'swept',
    () => ({}),
    {
      otel: {
        name: 'orphans',
        unit: '{process}',
        description: 'Processes without a purpose, ended by sweeps.',
      },
    },
    ({ orphans }) => orphans.length,
  ),
  counter('session-expired', () => ({}), {
    otel: {
      name: 'sessions.expired',
      unit: '{session}',
      description: 'Sessions that lasted too long.',
    },
  }),
  counter('service', ({ state }) => ({ state }), {
    otel: {
      name: 'service.transitions',
      unit: '{transition}',
      description: 'Services that changed state.',
    },
  }),
];

/** @internal The figures of the pool at one moment. */
export type PoolFigures = Pick<
  PoolHealth,
  'concurrency' | 'running' | 'waiting' | 'oldestWaitMs'
> & { readonly paused: object | null };

/** @internal Reads them off a supervisor. */
export function poolFigures({ pool }: SupervisorSnapshot): PoolFigures {
  return {
    concurrency: pool.concurrency,
    running: pool.held,
    waiting: pool.waiting.size,
    oldestWaitMs: pool.oldestWaitMs ?? null,
    paused: pool.paused ?? null,
  };
}

/** @internal A gauge of the pool. */
export interface PoolGauge {
  read(pool: PoolFigures): number;
  readonly prometheus: PrometheusName;
  readonly otel: OtelName;
}

/** @internal In the order in which Prometheus is told. */
export const POOL_GAUGES: readonly PoolGauge[] = [
  {
    read: ({ concurrency }) => concurrency,
    prometheus: { name: 'pool_slots', help: 'How many agents may run at once.' },
    otel: { name: 'slots.limit', unit: '{slot}', description: 'Slots that there are.' },
  },
  {
    read: ({ running }) => running,
    prometheus: { name: 'pool_slots_held', help: 'Slots that are held.' },
    otel: { name: 'slots.held', unit: '{slot}', description: 'Slots that are held.' },
  },
  {
    read: ({ waiting }) => waiting,
    prometheus: { name: 'pool_waiting_requests', help: 'Requests that wait.' },
    otel: {
      name: 'queue.length',
      unit: '{request}',
      description: 'Requests that wait.',
    },
  },
  {
    read: ({ paused }) => (paused === null ? 0 : 1),
    prometheus: { name: 'pool_paused', help: '1 while the pool is paused.' },
    otel: { name: 'pool.paused', unit: '{pool}', description: 'Pools that are paused.' },
  },
  {
    read: ({ oldestWaitMs }) => (oldestWaitMs ?? 0) / 1000,
    prometheus: {
      name: 'pool_oldest_wait_seconds',
      help: 'How long the first in the queue has waited.',
    },
    otel: {
      name: 'queue.oldest_wait',
      unit: 's',
      description: 'For how long the oldest of them has waited.',
    },
  },
];
