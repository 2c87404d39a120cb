import { EventEmitter } from 'node:events';
import { PassThrough, Writable } from 'node:stream';
import { setImmediate, systemClock } from '../os/clock.ts';

/**
 * A pid that no real process can have, so no signal can reach one. On Linux the largest pid is 2^22; on
 * Windows no pid is odd.
 */
const FIRST_PID = 2 ** 30 + 1;
let processes = 0;

const FOREVER_MS = Number.MAX_SAFE_INTEGER;

/** Receives the input that is written to the stdin of a process. */
export interface StdinListener {
  onChunk(chunk: Buffer): void;
  onEnd(): void;
}

/** The outside of a process that is none: streams, signals, one exit. */
export class FakeChild extends EventEmitter<{
  exit: [code: number | null, signal: NodeJS.Signals | null];
  error: [error: Error];
}> {
  readonly pid = FIRST_PID + 2 * processes++;
  readonly stdin: Writable;
  readonly stdout = new PassThrough();
  readonly stderr = new PassThrough();
  killed = false;
  exitCode: number | null = null;
  signalCode: NodeJS.Signals | null = null;
  ignoresSigterm = false;
  /** The exit code by which it answers SIGTERM; `null` if it dies of it. */
  readonly #sigtermCode: number | null;
  /** As a child does: who waits for it is not left in the middle of that. */
  readonly #letGo = systemClock.after(FOREVER_MS, () => undefined, { keepAlive: true });

  constructor({ onChunk, onEnd }: StdinListener, sigtermCode: number | null = null) {
    super();
    this.#sigtermCode = sigtermCode;
    this.stdin = new Writable({
      write(chunk: Buffer, _encoding, done) {
        onChunk(chunk);
        done();
      },
      final(done) {
        onEnd();
        done();
      },
    });
    // What is written after its exit is told by the exit.
    this.stdin.on('error', () => undefined);
    this.stderr.resume();
  }

  get isOver(): boolean {
    return this.exitCode !== null || this.signalCode !== null;
  }

  kill(signal: NodeJS.Signals = 'SIGTERM'): boolean {
    if (this.isOver) return false;
    this.killed = true;
    if (signal !== 'SIGTERM') this.exit(null, signal);
    else if (!this.ignoresSigterm)
      this.exit(this.#sigtermCode, this.#sigtermCode === null ? signal : null);
    return true;
  }

  exit(code: number | null, signal: NodeJS.Signals | null): void {
    if (this.isOver) return;
    this.#letGo();
    this.exitCode = code;
    this.signalCode = signal;
    this.stdin.destroy();
    this.stdout.end();
    this.stderr.end();
    setImmediate(() => this.emit('exit', code, signal));
  }
}
