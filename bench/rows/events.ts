import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { EventEmitter } from 'node:events';
import { MeterProvider } from '@opentelemetry/sdk-metrics';
import { TracerProvider } from '@opentelemetry/sdk-trace';
import type { ExitReport, Supervisor } from '../../src/index.ts';
import { createSupervisor, instrument } from '../built.ts';
import { temporaryFolder } from '../children.ts';
import { interleave, median, type Row, times } from '../row.ts';

const LIVES = 20_000;
const ROUNDS = 30;
const EVENTS = ['requested', 'started', 'exited'] as const;
const TARGET_RATIO = 3;

const SUBJECT = { id: 'x-1', kind: 'agent', sessionId: 's', pid: 4711 };
const REPORT: ExitReport = {
  ...SUBJECT,
  ...{ code: 0, signal: null, cause: 'completed', intentional: false, forced: false },
  ...{ durationMs: 1, pausedMs: 0, stderrTail: '', leftovers: [] },
};

/** What the events of a process cost that only says them: request, start, end. */
export const row: Row = {
  name: 'an event that nobody hears',
  target: `≤ ${TARGET_RATIO} × an EventEmitter's`,
  async measure() {
    using folder = temporaryFolder();
    const supervisors = Array.from({ length: 5 }, () =>
      createSupervisor({ stateDir: folder.path }),
    );
    const [quiet, heard, published, noSdk, sdk] = supervisors as [
      ...[Supervisor, Supervisor, Supervisor, Supervisor, Supervisor],
    ];
    let count = 0;
    const hear = (): void => void count++;
    for (const event of EVENTS) heard.on(event, hear);
    instrument(noSdk);
    instrument(sdk, { meterProvider: new MeterProvider(), tracerProvider: new TracerProvider() });
    const emitter = new EventEmitter();

    const samples = await interleave(
      ROUNDS,
      {
        quiet: () => nsPerEvent(quiet.internals.emit),
        emitter: () => nsPerEvent((event, detail) => emitter.emit(event, detail)),
        heard: () => nsPerEvent(heard.internals.emit),
        published: () => {
          for (const event of EVENTS) subscribe(`agent-supervisor:${event}`, hear);
          try {
            return nsPerEvent(published.internals.emit);
          } finally {
            for (const event of EVENTS) unsubscribe(`agent-supervisor:${event}`, hear);
          }
        },
        noSdk: () => nsPerEvent(noSdk.internals.emit),
        sdk: () => nsPerEvent(sdk.internals.emit),
      },
      { warmUp: 5 },
    );
    const ratio = median(samples.quiet) / median(samples.emitter);
    return {
      figures: [
        { who: 'nobody listens', value: nanoseconds(median(samples.quiet)) },
        { who: 'EventEmitter, no listener', value: nanoseconds(median(samples.emitter)) },
        { who: 'one on() listener', value: nanoseconds(median(samples.heard)) },
        { who: 'one channel subscriber', value: nanoseconds(median(samples.published)) },
        { who: 'instrument(), no SDK', value: nanoseconds(median(samples.noSdk)) },
        { who: 'instrument(), the SDK', value: nanoseconds(median(samples.sdk)) },
      ],
      ratio: `${times(ratio)} EventEmitter`,
      ok: ratio <= TARGET_RATIO,
    };
  },
};

/** What one event costs, its call included. */
function nsPerEvent(emit: (event: (typeof EVENTS)[number], detail: never) => unknown): number {
  const beganMs = performance.now();
  for (let life = 0; life < LIVES; life++) {
    emit('requested', SUBJECT as never);
    emit('started', SUBJECT as never);
    emit('exited', REPORT as never);
  }
  return ((performance.now() - beganMs) * 1e6) / (LIVES * EVENTS.length);
}

function nanoseconds(value: number): string {
  return `${value.toFixed(value < 10 ? 1 : 0)} ns`;
}
