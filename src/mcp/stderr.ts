import { createWriteStream, write, writev } from 'node:fs';
import { PassThrough, type Readable, type Stream, type Writable } from 'node:stream';
import { hostStderr, isHostStderr } from '../os/host-stderr.ts';

/** Target of a server's stderr, besides the tail that is always kept. */
export type StderrChoice = 'inherit' | 'pipe' | 'overlapped' | 'ignore' | Stream | number;

/** The host's own stderr, the default target. */
const STDERR_FD = 2;

/** Keeps the caller's file descriptor open, even after a failed write. */
const LEFT_OPEN = { write, writev, close: (_fd: number, done: () => void) => done() };

/** Forwards a server's stderr to its target. */
export class StderrForwarder {
  /** The stream for the caller, made before the server starts, so that no line is missed. */
  readonly readable: PassThrough | null;
  /** Resolves after the last write to the caller's file, which may then be closed. */
  written: Promise<void> = Promise.resolve();
  readonly #choice: StderrChoice;
  #isOpen = false;

  constructor(choice: StderrChoice) {
    this.#choice = choice;
    this.readable = choice === 'pipe' || choice === 'overlapped' ? new PassThrough() : null;
  }

  /** Forwards the stderr of a started server. Calls `report` once if it cannot be written. */
  open(source: Readable, report: (error: Error) => void): void {
    this.#isOpen = true;
    const file = fileOf(this.#choice, report);
    if (file !== undefined) this.written = new Promise((resolve) => file.once('close', resolve));
    const own = this.readable ?? file;
    source.once('close', () => own?.end());
    const target = own ?? streamOf(this.#choice);
    if (target !== undefined) forward(source, target);
  }

  /** Ends the stream for the caller if no server was started; otherwise its stderr ends it. */
  close(): void {
    if (!this.#isOpen) this.readable?.end();
  }
}

function fileOf(choice: StderrChoice, report: (error: Error) => void): Writable | undefined {
  if (typeof choice !== 'number' || choice === STDERR_FD) return undefined;
  return createWriteStream('', { fd: choice, fs: LEFT_OPEN }).once('error', report);
}

function streamOf(choice: StderrChoice): Writable | undefined {
  if (choice === 'ignore') return undefined;
  const isHosts = choice === 'inherit' || choice === STDERR_FD || isHostStderr(choice);
  return isHosts ? hostStderr() : (choice as Writable);
}

/** Like `pipe`, but a closed or failed `target` never stops `source`, which also feeds the tail. */
function forward(source: Readable, target: Writable): void {
  source.on('data', (chunk: Uint8Array) => {
    if (!target.writable || target.write(chunk)) return;
    if (isUnread(target)) {
      target.resume();
      return;
    }
    const resume = (): void => {
      target.off('drain', resume).off('close', resume);
      source.resume();
    };
    target.on('drain', resume).on('close', resume);
    source.pause();
  });
}

/** A stream that nobody has started to read: when full, it must not block the server. */
function isUnread(target: Writable): target is PassThrough {
  return target instanceof PassThrough && target.readableFlowing === null;
}
