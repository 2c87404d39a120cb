import type { ChildProcess } from 'node:child_process';
import { PassThrough, type Readable, type Writable } from 'node:stream';
import type { Piped } from './stdio-options.ts';

/** Bytes of unread output kept after an exit; the pipe and its buffers hold less. */
const UNREAD_BYTES = 512 * 1024;

type ChildStreams = Pick<ChildProcess, 'stdin' | 'stdout' | 'stderr'>;

/** The caller's ends of a process's streams, in every state of the process. */
export class ProcessStreams {
  readonly #piped: Piped;
  readonly #input: string | Uint8Array | undefined;
  #stdin: Writable | undefined;
  #stdout: Readable | undefined;
  #stderr: Readable | undefined;
  /** True if a caller may hold the stream that the process writes to. */
  #isStdoutTaken = false;
  #isOver = false;

  /** `input` is the complete stdin. */
  constructor(piped: Piped, input: string | Uint8Array | undefined) {
    this.#piped = piped;
    this.#input = input;
  }

  get stdin(): Writable {
    return there(this.#stdin);
  }

  get stdout(): Readable {
    this.#isStdoutTaken = true;
    return there(this.#stdout);
  }

  get stderr(): Readable {
    return there(this.#stderr);
  }

  /** Gives the caller substitute streams until there is a child to connect them to. */
  queue(onStdinEnd: () => void = ignore): void {
    if (this.#stdin !== undefined) return;
    const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
    this.#take({ stdin, stdout, stderr });
    stderr.resume();
    if (!this.#piped.stdin) stdin.end().resume();
    if (!this.#piped.stdout) stdout.end();
    if (!this.#piped.stderr) stderr.end();
    // No event reports the end of stdin while a large prompt is still unread.
    const end = stdin.end.bind(stdin) as (...args: unknown[]) => PassThrough;
    stdin.end = (...args: unknown[]) => {
      if (!stdin.writableEnded) onStdinEnd();
      return end(...args);
    };
  }

  /**
   * Connects the caller to a running child; hands out the child's own streams if there are no substitutes.
   */
  attach({ stdin, stdout, stderr }: ChildStreams): void {
    if (this.#stdin === undefined) {
      this.#take({
        stdin: stdin ?? ended().resume(),
        stdout: stdout ?? ended(),
        stderr: stderr ?? ended(),
      });
      return;
    }
    if (stdin) this.#joinStdin(stdin);
    joinOutput(stdout, this.#stdout as PassThrough);
    joinOutput(stderr, this.#stderr as PassThrough);
  }

  endStdin(): void {
    if (!this.stdin.writableEnded) this.stdin.end();
  }

  /** Discards further input of the caller: the process has exited, and nobody reads it. */
  exit(): void {
    const { stdin } = this;
    this.#isOver = true;
    // The substitute stdin must not fill up.
    if (stdin instanceof PassThrough) stdin.unpipe().resume();
    if (this.#piped.stdout && !this.#isStdoutTaken) this.#keepUnread();
  }

  /** Ends all streams of a process that was never started; further input is discarded. */
  end(): void {
    this.queue();
    (this.#stdin as PassThrough).resume();
    (this.#stdout as PassThrough).end();
    (this.#stderr as PassThrough).end();
  }

  #take(streams: { stdin: Writable; stdout: Readable; stderr: Readable }): void {
    const { stdin, stdout, stderr } = streams;
    // EPIPE and similar errors only repeat that the child has exited; the exit event reports it.
    for (const stream of [stdin, stdout, stderr]) stream.on('error', ignore);
    [this.#stdin, this.#stdout, this.#stderr] = [stdin, stdout, stderr];
    if (this.#input !== undefined) stdin.end(this.#input);
  }

  #joinStdin(child: Writable): void {
    const stdin = this.#stdin as PassThrough;
    child.on('error', ignore);
    stdin.pipe(child);
    // `pipe` does not pass on that its source was destroyed: the child would wait for ever.
    stdin.once('close', () => child.end());
    // In the other direction the substitute would fill up silently; a child that has exited needs no input.
    child.once('close', () => this.#isOver || stdin.destroy());
  }

  /** Drains output that nobody has read yet, for a late reader, and so that the pipe can close. */
  #keepUnread(): void {
    const kept = new PassThrough({ highWaterMark: UNREAD_BYTES });
    this.#stdout = this.#stdout?.pipe(kept.on('error', ignore));
  }
}

function joinOutput(child: Readable | null, ours: PassThrough): void {
  if (child === null) return;
  child.on('error', ignore).pipe(ours);
  ours.once('close', () => child.destroy());
}

function ended(): PassThrough {
  return new PassThrough().end();
}

function there<Stream>(stream: Stream | undefined): Stream {
  if (stream === undefined) throw new Error('the process has no streams yet');
  return stream;
}

function ignore(): void {}
