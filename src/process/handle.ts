import type { ChildProcess } from 'node:child_process';
import { EventEmitter } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import * as z from 'zod/mini';
import { durationMs, parseInput } from '../check.ts';
import type { SupervisorError } from '../errors.ts';
import { callHost } from '../os/call-host.ts';
import { setImmediate } from '../os/clock.ts';
import type { EndReport, ExitReport } from '../reports.ts';
import type { Piped } from './stdio-options.ts';
import { ProcessStreams } from './streams.ts';

/** How to end one process. */
export interface TerminateOptions {
  /** For the event and the log. */
  readonly reason?: string | undefined;
  /** All steps together take no longer. Default: the ladder's own times. */
  readonly deadlineMs?: number | undefined;
  /** SIGKILL at once, no polite step. @default false */
  readonly force?: boolean | undefined;
}

const terminateOptions = z.lazy(() =>
  z.strictObject({
    reason: z.optional(z.string()),
    deadlineMs: z.optional(durationMs()),
    force: z.optional(z.boolean()),
  }),
);

interface Controls {
  kill(signal: NodeJS.Signals): boolean;
  terminate(options: TerminateOptions): Promise<EndReport>;
}
type ExitListener = (code: number | null, signal: NodeJS.Signals | null) => void;
type ErrorListener = (error: Error) => void;

/** One supervised process, queued or running; it satisfies the Agent SDK's `SpawnedProcess`. */
export interface SupervisedProcess {
  readonly id: string;
  /** `undefined` while queued, and for ever if the start failed. */
  readonly pid: number | undefined;
  /** This and the two below are ended streams where they are no pipes. */
  readonly stdin: Writable;
  /** Waits for its reader, as in `child_process`: nothing is lost, and a full pipe holds the process up. */
  readonly stdout: Readable;
  /** Always read, for the tail in the {@link ExitReport}; a late reader gets what comes from then on. */
  readonly stderr: Readable;
  /** Whether a signal was sent by `kill`; no proof of death. */
  readonly killed: boolean;
  readonly exitCode: number | null;
  readonly signalCode: NodeJS.Signals | null;
  /** Sends a signal to the process; while it is queued, takes it out of the queue. `false` once it is gone. */
  kill(signal?: NodeJS.Signals): boolean;
  /** `'exit'` fires at the process's own death, `'error'` when it could not be started. */
  on(event: 'exit', listener: ExitListener): void;
  on(event: 'error', listener: ErrorListener): void;
  once(event: 'exit', listener: ExitListener): void;
  once(event: 'error', listener: ErrorListener): void;
  off(event: 'exit', listener: ExitListener): void;
  off(event: 'error', listener: ErrorListener): void;
  /** Resolves when the process runs; rejects with a {@link SupervisorError} if it never will. */
  readonly started: Promise<void>;
  /** Resolves when the process and its whole tree are seen dead; never rejects. */
  readonly exited: Promise<ExitReport>;
  /** Ends the process and its tree by the ladder; resolves when they are seen dead, or the deadline has come. */
  terminate(options?: TerminateOptions): Promise<EndReport>;
}

/** The caller's end of a supervised process: its streams and events, whatever state it is in. */
export class Handle
  extends EventEmitter<{ exit: Parameters<ExitListener>; error: Parameters<ErrorListener> }>
  implements SupervisedProcess
{
  readonly id: string;
  readonly started: Promise<void>;
  readonly exited: Promise<ExitReport>;
  pid: number | undefined;
  killed = false;
  exitCode: number | null = null;
  signalCode: NodeJS.Signals | null = null;
  /** Who has the process in hand. */
  readonly #process: Controls;
  readonly #streams: ProcessStreams;
  #resolveStarted!: () => void;
  #rejectStarted!: (error: Error) => void;
  #resolveExited!: (report: ExitReport) => void;
  #over = false;

  constructor(id: string, process: Controls, piped: Piped, input?: string | Uint8Array) {
    super();
    this.id = id;
    this.#process = process;
    this.#streams = new ProcessStreams(piped, input);
    this.started = new Promise((resolve, reject) => {
      this.#resolveStarted = resolve;
      this.#rejectStarted = reject;
    });
    // Whoever does not ask for `started` learns of a refusal from `exited`, not from a crash.
    this.started.catch(() => undefined);
    this.exited = new Promise((resolve) => {
      this.#resolveExited = resolve;
    });
  }

  get stdin(): Writable {
    return this.#streams.stdin;
  }

  get stdout(): Readable {
    return this.#streams.stdout;
  }

  get stderr(): Readable {
    return this.#streams.stderr;
  }

  kill(signal: NodeJS.Signals = 'SIGTERM'): boolean {
    if (this.#over) return false;
    const done = this.#process.kill(signal);
    this.killed ||= done;
    return done;
  }

  async terminate(options: TerminateOptions = {}): Promise<EndReport> {
    parseInput(terminateOptions, options, 'terminate');
    return this.#process.terminate(options);
  }

  /** Whether the process, or its place in the queue, has ended. */
  get over(): boolean {
    return this.#over;
  }

  /** Gives the caller streams of our own, until there is a child to join them to. */
  queue(onStdinEnd?: () => void): void {
    this.#streams.queue(onStdinEnd);
  }

  endStdin(): void {
    this.#streams.endStdin();
  }

  /** Joins the caller to a running child. */
  attach(child: Pick<ChildProcess, 'pid' | 'stdin' | 'stdout' | 'stderr'>): void {
    this.pid = child.pid;
    this.#streams.attach(child);
    this.#resolveStarted();
  }

  /** The process itself is dead. */
  exit(code: number | null, signal: NodeJS.Signals | null): void {
    this.#over = true;
    this.exitCode = code;
    this.signalCode = signal;
    this.#streams.exit();
    callHost(() => this.emit('exit', code, signal));
  }

  /** The process never was and never will be. Told a turn later, when the caller can listen. */
  refuse(error: SupervisorError): void {
    this.#endUnstarted(error);
    setImmediate(() => {
      if (this.listenerCount('error') > 0) this.emit('error', error);
    });
  }

  /** The caller has taken the process back before it was started. */
  cancel(error: SupervisorError, signal: NodeJS.Signals): void {
    this.#endUnstarted(error);
    this.signalCode = signal;
    setImmediate(() => this.emit('exit', null, signal));
  }

  /** The process and its tree are gone, and this is how. */
  settle(report: ExitReport): void {
    this.#resolveExited(report);
  }

  #endUnstarted(error: SupervisorError): void {
    this.#over = true;
    this.#streams.end();
    this.#rejectStarted(error);
  }
}
