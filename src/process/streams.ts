import type { ChildProcess } from 'node:child_process';
import { PassThrough, type Readable, type Writable } from 'node:stream';
import type { Piped } from './stdio-options.ts';

/** How much a stream keeps of what a dead process has said to nobody: its pipe and its buffers hold less. */
const UNREAD_BYTES = 512 * 1024;

type ChildStreams = Pick<ChildProcess, 'stdin' | 'stdout' | 'stderr'>;

/** The caller's ends of a process's streams, whatever state it is in. */
export class ProcessStreams {
  readonly #piped: Piped;
  readonly #input: string | Uint8Array | undefined;
  #stdin: Writable | undefined;
  #stdout: Readable | undefined;
  #stderr: Readable | undefined;
  /** Somebody may hold the stream that the process writes to. */
  #isStdoutTaken = false;
  #isOver = false;

  /** `input`: the whole of its stdin. */
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

  /** Gives the caller streams of our own, until there is a child to join them to. */
  queue(onStdinEnd: () => void = ignore): void {
    if (this.#stdin !== undefined) return;
    const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
    this.#take({ stdin, stdout, stderr });
    stderr.resume();
    if (!this.#piped.stdin) stdin.end().resume();
    if (!this.#piped.stdout) stdout.end();
    if (!this.#piped.stderr) stderr.end();
    // No event tells of an end while a large prompt is still unread.
    const end = stdin.end.bind(stdin) as (...args: unknown[]) => PassThrough;
    stdin.end = (...args: unknown[]) => {
      if (!stdin.writableEnded) onStdinEnd();
      return end(...args);
    };
  }

  /** Joins the caller to a running child: by the child's own streams if it has no others yet. */
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

  /** The process is dead: nobody reads what the caller writes. */
  exit(): void {
    const { stdin } = this;
    this.#isOver = true;
    // It must not fill up.
    if (stdin instanceof PassThrough) stdin.unpipe().resume();
    if (this.#piped.stdout && !this.#isStdoutTaken) this.#keepUnread();
  }

  /** Nobody reads what the caller writes, and there is nothing for it to read. */
  end(): void {
    this.queue();
    (this.#stdin as PassThrough).resume();
    (this.#stdout as PassThrough).end();
    (this.#stderr as PassThrough).end();
  }

  #take(streams: { stdin: Writable; stdout: Readable; stderr: Readable }): void {
    const { stdin, stdout, stderr } = streams;
    // EPIPE and its kin are the child's end told a second time; the exit tells it.
    for (const stream of [stdin, stdout, stderr]) stream.on('error', ignore);
    [this.#stdin, this.#stdout, this.#stderr] = [stdin, stdout, stderr];
    if (this.#input !== undefined) stdin.end(this.#input);
  }

  #joinStdin(child: Writable): void {
    const stdin = this.#stdin as PassThrough;
    child.on('error', ignore);
    stdin.pipe(child);
    // A pipe tells nobody that its other end was destroyed: the child would wait for ever.
    stdin.once('close', () => child.end());
    // The other way round it would fill up without a word; a child that is dead needs none.
    child.once('close', () => this.#isOver || stdin.destroy());
  }

  /** Takes out of the pipe what nobody has asked for yet: for whoever asks later, and so that it can close. */
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
