import type { Meter, Tracer } from '@opentelemetry/api';
import type { ProcessSubject, Supervisor } from '../index.ts';
import { COUNT } from './attributes.ts';
import { ProcessSpan, type ProcessSpanContext } from './process-span.ts';

/** Traces each process from its request to the death of its tree. Returns a function that stops it. */
export function followProcesses(supervisor: Supervisor, meter: Meter, tracer: Tracer): () => void {
  const spans = new Map<string, ProcessSpan>();
  const context: ProcessSpanContext = {
    tracer,
    durations: durationsOf(meter),
    clock: supervisor.internals.os.clock,
  };
  const begin = (subject: ProcessSubject): ProcessSpan => {
    const span = new ProcessSpan(context, subject);
    spans.set(subject.id, span);
    return span;
  };
  const take = (id: string): ProcessSpan | undefined => {
    const span = spans.get(id);
    spans.delete(id);
    return span;
  };
  const offs = [
    supervisor.on('requested', (subject) => begin(subject).admit()),
    supervisor.on('started', ({ id, pid }) => spans.get(id)?.run(pid)),
    supervisor.on('adopted', (subject) => begin(subject).run(subject.pid)),
    supervisor.on('ending', ({ id }) => spans.get(id)?.end()),
    supervisor.on('leftovers', ({ id, processes, action }) => {
      spans.get(id)?.note('leftovers', { [COUNT]: processes.length });
      if (action === 'terminate') spans.get(id)?.end();
    }),
    supervisor.on('survivors', ({ id, survivors }) => {
      spans.get(id)?.note('survivors', { [COUNT]: survivors.length });
    }),
    supervisor.on('exited', (report) => take(report.id)?.exited(report)),
    supervisor.on('refused', ({ id, error }) => take(id)?.refused(error)),
  ];
  return () => {
    for (const off of offs) off();
    for (const span of spans.values()) span.abandon();
    spans.clear();
  };
}

/** Creates a histogram for the duration of each phase, in seconds. */
function durationsOf(meter: Meter): ProcessSpanContext['durations'] {
  const histogram = (name: string, description: string, explicitBucketBoundaries: number[]) =>
    meter.createHistogram(`agent_supervisor.process.${name}.duration`, {
      unit: 's',
      description,
      advice: { explicitBucketBoundaries },
    });
  return {
    admit: histogram(
      'wait',
      'From the request to the start, or to the refusal.',
      [0.01, 0.1, 0.5, 1, 5, 15, 30, 60, 300, 900, 3600],
    ),
    run: histogram(
      'run',
      'From the start to the first step of the end, or to the end itself.',
      [0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400],
    ),
    end: histogram(
      'end',
      'From the first step of the end to the observed death of the whole tree.',
      [0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30],
    ),
  };
}
