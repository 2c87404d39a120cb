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

/** What a process goes through, in this order; it may skip one. */
type Step = 'admit' | 'run' | 'end';

/** @internal What all lives share. */
export interface LifeContext {
  readonly tracer: Tracer;
  readonly durations: Readonly<Record<Step, Histogram>>;
  readonly clock: Clock;
}

/** The host's own wish: nothing failed. */
const WANTED: ReadonlySet<string> = new Set(['ABORTED', 'STOPPING']);

/** One process from its request to the death of its tree: a span, and one below it for each step. */
export class Life {
  readonly #context: LifeContext;
  readonly #kind: string;
  readonly #span: Span;
  readonly #below: Context;
  readonly #tookS = new Map<Step, number>();
  #step: { readonly name: Step; readonly span: Span; readonly sinceMs: number } | undefined;

  /** Must be called where the host asks for the process: its active context is the parent. */
  constructor(shared: LifeContext, { id, kind, sessionId }: ProcessSubject) {
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

  /** The first step of its end; the later ones tell nothing new. */
  end(): void {
    if (this.#step?.name === 'run') this.#enter('end');
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

  /** Nobody listens any more: its spans end, and say nothing of how it did. */
  abandon(): void {
    this.#leave();
    this.#span.end();
  }

  #enter(name: Step): void {
    this.#leave();
    const { tracer, clock } = this.#context;
    const span = tracer.startSpan(`agent_supervisor.${name}`, {}, this.#below);
    this.#step = { name, span, sinceMs: clock.monotonicMs() };
  }

  #leave(): void {
    if (this.#step === undefined) return;
    const { name, span, sinceMs } = this.#step;
    this.#tookS.set(name, (this.#context.clock.monotonicMs() - sinceMs) / 1000);
    span.end();
    this.#step = undefined;
  }

  #record(step: Step, attributes: Attributes): void {
    const tookS = this.#tookS.get(step);
    if (tookS === undefined) return;
    this.#context.durations[step].record(tookS, { [KIND]: this.#kind, ...attributes });
  }

  #close(attributes: Attributes, failed: boolean): void {
    this.#span.setAttributes(attributes);
    if (failed) this.#span.setStatus({ code: SpanStatusCode.ERROR });
    this.#span.end();
  }
}
