import { context, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  InMemorySpanExporter,
  SimpleSpanProcessor,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import { getSupervisor } from 'agent-supervisor';
import { instrument } from 'agent-supervisor/otel';

// Your own OpenTelemetry set-up: here its spans stay in memory.
const exporter = new InMemorySpanExporter();
const spanProcessors = [new SimpleSpanProcessor({ exporter })];
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
trace.setGlobalTracerProvider(new TracerProvider({ spanProcessors }));

const supervisor = getSupervisor();
const stop = instrument(supervisor); // after the set-up: it takes the providers that are there

await trace.getTracer('host').startActiveSpan('answer a question', async (span) => {
  await supervisor.spawn({ command: process.execPath, args: ['-e', 'process.exit(3)'] }).exited;
  span.end();
});
stop();

for (const { name, attributes, parentSpanContext } of exporter.getFinishedSpans()) {
  const parent = exporter
    .getFinishedSpans()
    .find((span) => span.spanContext().spanId === parentSpanContext?.spanId);
  const cause = attributes['agent_supervisor.cause'];
  console.log([name, parent && `in ${parent.name}`, cause].filter(Boolean).join(' '));
}
