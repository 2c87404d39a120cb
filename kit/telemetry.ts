// OpenTelemetry's own SDK, with its exporters in memory.
import {
  type Attributes,
  type Context,
  context,
  type HrTime,
  type Span,
  trace,
} from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  AggregationTemporality,
  type Histogram,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import {
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
  TracerProvider,
} from '@opentelemetry/sdk-trace';

context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());

/** A number as it was exported, or how many were measured and their sum. */
export interface Point {
  readonly attributes: Attributes;
  readonly value: number | { readonly count: number; readonly sum: number };
}

export class Telemetry {
  readonly #spans = new InMemorySpanExporter();
  readonly #metrics = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  readonly #reader = new PeriodicExportingMetricReader({ exporter: this.#metrics });
  readonly tracerProvider = new TracerProvider({
    spanProcessors: [new SimpleSpanProcessor({ exporter: this.#spans })],
  });
  readonly meterProvider = new MeterProvider({ readers: [this.#reader] });

  get providers() {
    return { tracerProvider: this.tracerProvider, meterProvider: this.meterProvider };
  }

  /** Calls `act` as a host does that traces its own work, and ends the span of it. */
  within<T>(name: string, act: () => T): T {
    const span = this.tracerProvider.getTracer('host').startSpan(name);
    try {
      return context.with(contextOf(span), act);
    } finally {
      span.end();
    }
  }

  /** The spans that have ended, in the order in which they began; by name alone, if one is given. */
  spans(name?: string): ReadableSpan[] {
    return this.#spans
      .getFinishedSpans()
      .filter((span) => name === undefined || span.name === name)
      .sort((a, b) => ms(a.startTime) - ms(b.startTime));
  }

  /** The names of a span and of those above it, itself first. */
  lineage(span: ReadableSpan): string[] {
    const { traceId } = span.spanContext();
    const parent = this.spans().find(
      (other) =>
        other.spanContext().spanId === span.parentSpanContext?.spanId &&
        other.spanContext().traceId === traceId,
    );
    return [span.name, ...(parent === undefined ? [] : this.lineage(parent))];
  }

  /** The names of the spans right below, in the order in which they began. */
  below(span: ReadableSpan): string[] {
    const { spanId } = span.spanContext();
    return this.spans()
      .filter(({ parentSpanContext }) => parentSpanContext?.spanId === spanId)
      .map(({ name }) => name);
  }

  /** Collects now; every metric of ours by its name without the prefix. */
  async metrics(): Promise<Record<string, Point[]>> {
    this.#metrics.reset();
    await this.#reader.forceFlush();
    const exported = this.#metrics.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics);
    return Object.fromEntries(
      exported
        .flatMap(({ metrics }) => metrics)
        .map(({ descriptor, dataPoints }) => [
          descriptor.name.replace('agent_supervisor.', ''),
          dataPoints.map(({ attributes, value }) => ({ attributes, value: plain(value) })),
        ]),
    );
  }

  /** All that was exported so far, as text. */
  async text(): Promise<string> {
    const spans = this.spans().map(({ name, attributes, events, status, links }) => ({
      ...{ name, attributes, events, status, links },
    }));
    await this.metrics();
    return JSON.stringify([spans, this.#metrics.getMetrics()]);
  }

  async shutdown(): Promise<void> {
    await Promise.all([this.tracerProvider.shutdown(), this.meterProvider.shutdown()]);
  }
}

function contextOf(span: Span): Context {
  return trace.setSpan(context.active(), span);
}

export function ms([seconds, nanos]: HrTime): number {
  return seconds * 1000 + nanos / 1e6;
}

function plain(value: number | Histogram | object): Point['value'] {
  if (typeof value === 'number') return value;
  const { count, sum = Number.NaN } = value as Histogram;
  return { count, sum };
}
