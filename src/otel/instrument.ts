import { type MeterProvider, metrics, type TracerProvider, trace } from '@opentelemetry/api';
import * as z from 'zod/mini';
import { parseInput } from '../check.ts';
import type { Supervisor } from '../index.ts';
import { packageVersion } from '../os/built.ts';
import { countEvents } from './counters.ts';
import { observeGauges } from './gauges.ts';
import { followProcesses } from './processes.ts';

/** Targets of metrics and spans. */
export interface InstrumentOptions {
  /** Default: the provider registered with `@opentelemetry/api` at the time of the call. */
  meterProvider?: MeterProvider | undefined;
  /** Default: the provider registered with `@opentelemetry/api`. */
  tracerProvider?: TracerProvider | undefined;
}

const SCOPE = 'agent-supervisor';

const provider = <P>(method: keyof P & string) =>
  z.optional(
    z.custom<P>((value) => typeof (value as P | null)?.[method] === 'function', {
      error: `must have ${method}()`,
    }),
  );

const instrumentOptions = z.prefault(
  z.strictObject({
    meterProvider: provider<MeterProvider>('getMeter'),
    tracerProvider: provider<TracerProvider>('getTracer'),
  }),
  {},
);
const compatibleSupervisor = z.custom<Supervisor>(
  (value) => (value as Supervisor | null)?.internals?.snapshot !== undefined,
  {
    error: 'must be a supervisor of this version: pass what getSupervisor() returns',
  },
);

/**
 * Sends a supervisor's metrics and spans to OpenTelemetry from now on.
 *
 * Each process gets a span, below the span that is active in the call that requests it.
 *
 * @returns a function that stops it, and ends the spans of running processes
 * @throws SupervisorError `INVALID_OPTIONS`
 *
 * @example
 * ```ts
 * const stop = instrument(getSupervisor());
 * ```
 */
export function instrument(supervisor: Supervisor, options?: InstrumentOptions): () => void {
  parseInput(compatibleSupervisor, supervisor, 'instrument', 'supervisor');
  const { meterProvider = metrics.getMeterProvider(), tracerProvider = trace.getTracerProvider() } =
    parseInput(instrumentOptions, options, 'instrument');
  const meter = meterProvider.getMeter(SCOPE, packageVersion());
  const stops = [
    countEvents(supervisor, meter),
    observeGauges(supervisor, meter),
    followProcesses(supervisor, meter, tracerProvider.getTracer(SCOPE, packageVersion())),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}
