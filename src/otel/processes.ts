import type { Meter, Tracer } from '@opentelemetry/api';
import type { ProcessSubject, Supervisor } from '../index.ts';
import { COUNT } from './attributes.ts';
import { Life, type LifeContext } from './life.ts';

/** Measures each process from its request to the death of its tree; returns how to stop. */
export function followProcesses(supervisor: Supervisor, meter: Meter, tracer: Tracer): () => void {
  const lives = new Map<string, Life>();
  const context: LifeContext = {
    tracer,
    durations: durationsOf(meter),
    clock: supervisor.internals.os.clock,
  };
  const begin = (subject: ProcessSubject): Life => {
    const life = new Life(context, subject);
    lives.set(subject.id, life);
    return life;
  };
  const take = (id: string): Life | undefined => {
    const life = lives.get(id);
    lives.delete(id);
    return life;
  };
  const offs = [
    supervisor.on('requested', (subject) => begin(subject).admit()),
    supervisor.on('started', ({ id, pid }) => lives.get(id)?.run(pid)),
    supervisor.on('adopted', (subject) => begin(subject).run(subject.pid)),
    supervisor.on('ending', ({ id }) => lives.get(id)?.end()),
    supervisor.on('leftovers', ({ id, processes, action }) => {
      lives.get(id)?.note('leftovers', { [COUNT]: processes.length });
      if (action === 'terminate') lives.get(id)?.end();
    }),
    supervisor.on('survivors', ({ id, survivors }) => {
      lives.get(id)?.note('survivors', { [COUNT]: survivors.length });
    }),
    supervisor.on('exited', (report) => take(report.id)?.exited(report)),
    supervisor.on('refused', ({ id, error }) => take(id)?.refused(error)),
  ];
  return () => {
    for (const off of offs) off();
    for (const life of lives.values()) life.abandon();
    lives.clear();
  };
}

/** How long each step takes, in seconds. */
function durationsOf(meter: Meter): LifeContext['durations'] {
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
