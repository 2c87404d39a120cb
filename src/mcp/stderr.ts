import { createWriteStream, write, writev } from 'node:fs';
import { PassThrough, type Readable, type Stream, type Writable } from 'node:stream';
import { hostStderr, isHostStderr } from '../os/host-stderr.ts';

/** Where a server's stderr goes, besides the tail that is always kept. */
export type StderrChoice = 'inherit' | 'pipe' | 'overlapped' | 'ignore' | Stream | number;

/** The host's own file, where a server writes unless it is told otherwise. */
const STDERR_FD = 2;

/** A file of the caller's stays open, even when it cannot be written to. */
const LEFT_OPEN = { write, writev, close: (_fd: number, done: () => void) => done() };

/** Passes on what a server says on its stderr. */
export class StderrOutlet {
  /** What the caller reads; there at once, so that no word is missed. */
  readonly readable: PassThrough | null;
  /** Resolves when nothing is written to the caller's file any more, who may close it then. */
  written: Promise<void> = Promise.resolve();
  readonly #choice: StderrChoice;
  #isOpen = false;

  constructor(choice: StderrChoice) {
    this.#choice = choice;
    this.readable = choice === 'pipe' || choice === 'overlapped' ? new PassThrough() : null;
  }

  /** Takes the stderr of a server that was started; `report` is told once if its words cannot be written. */
  open(source: Readable, report: (error: Error) => void): void {
    this.#isOpen = true;
    const file = fileOf(this.#choice, report);
    if (file !== undefined) this.written = new Promise((resolve) => file.once('close', resolve));
    const ours = this.readable ?? file;
    source.once('close', () => ours?.end());
    const target = ours ?? streamOf(this.#choice);
    if (target !== undefined) forward(source, target);
  }

  /** Nothing comes any more but what an open source has still to say. */
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

/** Like `pipe`, but what becomes of `target` never stops `source`, which feeds the tail as well. */
function forward(source: Readable, target: Writable): void {
  source.on('data', (chunk: Uint8Array) => {
    if (!target.writable || target.write(chunk)) return;
    if (isUnread(target)) {
      target.resume();
      return;
    }
    const goOn = (): void => {
      target.off('drain', goOn).off('close', goOn);
      source.resume();
    };
    target.on('drain', goOn).on('close', goOn);
    source.pause();
  });
}

/** Full, and nobody has ever asked for it: it must not hold up the server. */
function isUnread(target: Writable): target is PassThrough {
  return target instanceof PassThrough && target.readableFlowing === null;
}
