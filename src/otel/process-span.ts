import {
  type Attributes,
  type Context,
  context,
  type Histogram,
  type Span,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import type { ExitReport, ProcessSubject, SupervisorError } from '../index.ts';
import type { Clock } from '../os/clock.ts';
import {
  CAUSE,
  ERROR_TYPE,
  EXIT_CODE,
  FORCED,
  ID,
  KIND,
  PID,
  SESSION_ID,
  SIGNAL,
} from './attributes.ts';

/** The phases of a process, in this order; a process may skip one. */
type Phase = 'admit' | 'run' | 'end';

/** @internal Values that all process spans share. */
export interface ProcessSpanContext {
  readonly tracer: Tracer;
  readonly durations: Readonly<Record<Phase, Histogram>>;
  readonly clock: Clock;
}

/** Refusals that the host asked for itself, which are no failures. */
const WANTED: ReadonlySet<string> = new Set(['ABORTED', 'STOPPING']);

/** The span of a process until the death of its tree, with a child span for each phase. */
export class ProcessSpan {
  readonly #context: ProcessSpanContext;
  readonly #kind: string;
  readonly #span: Span;
  readonly #below: Context;
  readonly #tookS = new Map<Phase, number>();
  #phase: { readonly name: Phase; readonly span: Span; readonly sinceMs: number } | undefined;

  /** Must be called within the host's request, since the active context becomes the parent. */
  constructor(shared: ProcessSpanContext, { id, kind, sessionId }: ProcessSubject) {
    this.#context = shared;
    this.#kind = kind;
    const parent = context.active();
    this.#span = shared.tracer.startSpan(
      'agent_supervisor.process',
      { attributes: { [ID]: id, [KIND]: kind, [SESSION_ID]: sessionId } },
      parent,
    );
    this.#below = trace.setSpan(parent, this.#span);
  }

  admit(): void {
    this.#enter('admit');
  }

  run(pid: number): void {
    this.#enter('run');
    this.#span.setAttribute(PID, pid);
    this.#record('admit', {});
  }

  /** Begins the phase `end` at the first signal; later signals change nothing. */
  end(): void {
    if (this.#phase?.name === 'run') this.#enter('end');
  }

  note(name: string, attributes: Attributes): void {
    this.#span.addEvent(name, attributes);
  }

  refused({ code }: SupervisorError): void {
    this.#leave();
    this.#record('admit', { [ERROR_TYPE]: code });
    this.#close({ [CAUSE]: 'not-started', [ERROR_TYPE]: code }, !WANTED.has(code));
  }

  exited({ cause, code, signal, intentional, forced }: ExitReport): void {
    this.#leave();
    this.#record('run', { [CAUSE]: cause });
    this.#record('end', { [CAUSE]: cause });
    const failed = !intentional && cause !== 'completed';
    this.#close(
      {
        [CAUSE]: cause,
        [FORCED]: forced,
        [EXIT_CODE]: code ?? undefined,
        [SIGNAL]: signal ?? undefined,
        [ERROR_TYPE]: failed ? cause : undefined,
      },
      failed,
    );
  }

  /** Ends the spans without an outcome, since the listeners are removed. */
  abandon(): void {
    this.#leave();
    this.#span.end();
  }

  #enter(name: Phase): void {
    this.#leave();
    const { tracer, clock } = this.#context;
    const span = tracer.startSpan(`agent_supervisor.${name}`, {}, this.#below);
    this.#phase = { name, span, sinceMs: clock.monotonicMs() };
  }

  #leave(): void {
    if (this.#phase === undefined) return;
    const { name, span, sinceMs } = this.#phase;
    this.#tookS.set(name, (this.#context.clock.monotonicMs() - sinceMs) / 1000);
    span.end();
    this.#phase = undefined;
  }

  #record(phase: Phase, attributes: Attributes): void {
    const tookS = this.#tookS.get(phase);
    if (tookS === undefined) return;
    this.#context.durations[phase].record(tookS, { [KIND]: this.#kind, ...attributes });
  }

  #close(attributes: Attributes, failed: boolean): void {
    this.#span.setAttributes(attributes);
    if (failed) this.#span.setStatus({ code: SpanStatusCode.ERROR });
    this.#span.end();
  }
}
