import type { Attributes, Meter } from '@opentelemetry/api';
import type { Supervisor } from '../index.ts';
import { COUNTERS, type Label, type Labels } from '../inspect/metrics.ts';
import { ACTION, CAUSE, CODE, ERROR_TYPE, FORCED, KIND, STATE } from './attributes.ts';

const ATTRIBUTES: Readonly<Record<Label, string>> = {
  kind: KIND,
  cause: CAUSE,
  forced: FORCED,
  error: ERROR_TYPE,
  action: ACTION,
  state: STATE,
  code: CODE,
};

/** Counts the events of a supervisor; returns how to stop. */
export function countEvents(supervisor: Supervisor, meter: Meter): () => void {
  const offs = COUNTERS.flatMap(({ event, read, otel }) => {
    if (otel === undefined) return [];
    const { name, unit, description } = otel;
    const counter = meter.createCounter(`agent_supervisor.${name}`, { unit, description });
    return supervisor.on(event, (detail) => {
      const { amount, labels } = read(detail as never);
      if (amount > 0) counter.add(amount, attributesOf(labels));
    });
  });
  return () => {
    for (const off of offs) off();
  };
}

function attributesOf(labels: Labels): Attributes {
  const entries = Object.entries(labels);
  return Object.fromEntries(entries.map(([label, value]) => [ATTRIBUTES[label as Label], value]));
}
