// OpenTelemetry's own SDK, with exporters in memory.
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

/** An exported number; of a histogram, its count and sum. */
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

  /** Calls `act` within a span, as a host does that traces its own work. */
  within<T>(name: string, act: () => T): T {
    const span = this.tracerProvider.getTracer('host').startSpan(name);
    try {
      return context.with(contextOf(span), act);
    } finally {
      span.end();
    }
  }

  /** The ended spans in start order, with this name if one is given. */
  spans(name?: string): ReadableSpan[] {
    return this.#spans
      .getFinishedSpans()
      .filter((span) => name === undefined || span.name === name)
      .sort((a, b) => ms(a.startTime) - ms(b.startTime));
  }

  /** The names of a span and its ancestors, the span itself first. */
  lineage(span: ReadableSpan): string[] {
    const { traceId } = span.spanContext();
    const parent = this.spans().find(
      (other) =>
        other.spanContext().spanId === span.parentSpanContext?.spanId &&
        other.spanContext().traceId === traceId,
    );
    return [span.name, ...(parent === undefined ? [] : this.lineage(parent))];
  }

  /** The names of a span's children, in start order. */
  below(span: ReadableSpan): string[] {
    const { spanId } = span.spanContext();
    return this.spans()
      .filter(({ parentSpanContext }) => parentSpanContext?.spanId === spanId)
      .map(({ name }) => name);
  }

  /** Collects now, and returns this package's metrics by name without the prefix. */
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

  /** Returns all exported data so far, as text. */
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
