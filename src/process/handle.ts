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

/** Options for ending one process. */
export interface TerminateOptions {
  /** Appears in the `ending` event and in the log. */
  readonly reason?: string | undefined;
  /** Upper limit for all steps together, in ms. Default: the ladder's own times. */
  readonly deadlineMs?: number | undefined;
  /** Sends SIGKILL at once, without a polite step. @default false */
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
  disown(): Promise<boolean>;
}
type ExitListener = (code: number | null, signal: NodeJS.Signals | null) => void;
type ErrorListener = (error: Error) => void;

/** One supervised process, queued or running; it satisfies the Agent SDK's `SpawnedProcess`. */
export interface SupervisedProcess {
  readonly id: string;
  /** `undefined` while queued, and for good if the start failed. */
  readonly pid: number | undefined;
  /** Like `stdout` and `stderr`, an already ended stream if it is not a pipe. */
  readonly stdin: Writable;
  /** Waits for its reader, as in `child_process`: no data is lost, and a full pipe blocks the process. */
  readonly stdout: Readable;
  /** Always read, for the tail in the {@link ExitReport}; a late reader gets only data that arrives later. */
  readonly stderr: Readable;
  /** True after `kill` has sent a signal; no proof that the process has exited. */
  readonly killed: boolean;
  readonly exitCode: number | null;
  readonly signalCode: NodeJS.Signals | null;
  /** Sends a signal to the process, or takes a queued one out of the queue; `false` after its exit. */
  kill(signal?: NodeJS.Signals): boolean;
  /** `'exit'` fires when the process itself exits, `'error'` when it could not be started. */
  on(event: 'exit', listener: ExitListener): void;
  on(event: 'error', listener: ErrorListener): void;
  once(event: 'exit', listener: ExitListener): void;
  once(event: 'error', listener: ErrorListener): void;
  off(event: 'exit', listener: ExitListener): void;
  off(event: 'error', listener: ErrorListener): void;
  /**
   * Resolves when the process runs; rejects with a {@link SupervisorError} if it is refused or taken back.
   */
  readonly started: Promise<void>;
  /** Resolves when the process and its whole tree are seen dead; never rejects. */
  readonly exited: Promise<ExitReport>;
  /** Ends the process and its tree by the ladder; resolves when all are seen dead or at the deadline. */
  terminate(options?: TerminateOptions): Promise<EndReport>;
  /**
   * Lets the process go: supervision ends, its slot is free, and nobody ends it or its tree later.
   *
   * `exited` resolves with the cause `disowned`, and `list` shows it as long as its tree lives. Its pipes
   * break when the host exits. Resolves to `false` if the process does not run or is being ended.
   */
  disown(): Promise<boolean>;
}

/** The caller's end of a supervised process: its streams and events, in every state of the process. */
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
  /** Controls the process on behalf of this handle. */
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
    // Without it, a refusal that no caller awaits would crash the host; `exited` reports it as well.
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

  disown(): Promise<boolean> {
    return this.#process.disown();
  }

  /** True once the process has exited, or has left the queue without a start. */
  get over(): boolean {
    return this.#over;
  }

  /** Gives the caller substitute streams until there is a child to connect them to. */
  queue(onStdinEnd?: () => void): void {
    this.#streams.queue(onStdinEnd);
  }

  endStdin(): void {
    this.#streams.endStdin();
  }

  /** Connects the caller to a running child. */
  attach(child: Pick<ChildProcess, 'pid' | 'stdin' | 'stdout' | 'stderr'>): void {
    this.pid = child.pid;
    this.#streams.attach(child);
    this.#resolveStarted();
  }

  /** Reports that the process itself has exited. */
  exit(code: number | null, signal: NodeJS.Signals | null): void {
    this.#over = true;
    this.exitCode = code;
    this.signalCode = signal;
    this.#streams.exit();
    callHost(() => this.emit('exit', code, signal));
  }

  /** Reports that the process was refused; a turn later, so that the caller can add a listener. */
  refuse(error: SupervisorError): void {
    this.#endUnstarted(error);
    setImmediate(() => {
      if (this.listenerCount('error') > 0) this.emit('error', error);
    });
  }

  /** Reports that the caller took the request back before its start. */
  cancel(error: SupervisorError, signal: NodeJS.Signals): void {
    this.#endUnstarted(error);
    this.signalCode = signal;
    setImmediate(() => this.emit('exit', null, signal));
  }

  /** Reports how the process ended, once its whole tree is dead. */
  settle(report: ExitReport): void {
    this.#resolveExited(report);
  }

  #endUnstarted(error: SupervisorError): void {
    this.#over = true;
    this.#streams.end();
    this.#rejectStarted(error);
  }
}
