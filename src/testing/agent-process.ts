import { EventEmitter } from 'node:events';
import { PassThrough, Writable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { setImmediate, systemClock } from '../os/clock.ts';

/**
 * Fake pids belong to no real process, so that no signal can hit one. Linux pids stay below 2^22, and
 * Windows pids are even.
 */
const FIRST_PID = 2 ** 30 + 1;
let processes = 0;

/** The exit code after SIGTERM (measured); any other signal ends the agent directly. */
const SIGTERM_CODE = 143;
const FOREVER_MS = Number.MAX_SAFE_INTEGER;

/** A fake child process with streams, signals and one exit; it satisfies the SDK's `SpawnedProcess`. */
export class FakeAgentProcess extends EventEmitter<{
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
  readonly #decoder = new StringDecoder();
  /** Keeps the event loop alive until the exit, as a real child does. */
  readonly #cancelKeepAlive = systemClock.after(FOREVER_MS, () => undefined, { keepAlive: true });
  #torn = '';

  /** Calls `onLine` for each line of stdin, then `onEnd`. */
  constructor(onLine: (line: string) => void, onEnd: () => void) {
    super();
    const read = (chunk: Buffer): void => {
      const lines = `${this.#torn}${this.#decoder.write(chunk)}`.split('\n');
      this.#torn = lines.pop() ?? '';
      for (const line of lines) if (line !== '' && !this.isOver) onLine(line);
    };
    this.stdin = new Writable({
      write(chunk: Buffer, _encoding, done) {
        read(chunk);
        done();
      },
      final(done) {
        onEnd();
        done();
      },
    });
    // A write after the exit fails, and the exit is reported anyway.
    this.stdin.on('error', () => undefined);
    this.stderr.resume();
  }

  get isOver(): boolean {
    return this.exitCode !== null || this.signalCode !== null;
  }

  write(frame: object): void {
    if (!this.isOver) this.stdout.write(`${JSON.stringify(frame)}\n`);
  }

  kill(signal: NodeJS.Signals = 'SIGTERM'): boolean {
    if (this.isOver) return false;
    this.killed = true;
    if (signal === 'SIGTERM') {
      if (!this.ignoresSigterm) this.exit(SIGTERM_CODE, null);
    } else this.exit(null, signal);
    return true;
  }

  exit(code: number | null, signal: NodeJS.Signals | null): void {
    if (this.isOver) return;
    this.#cancelKeepAlive();
    this.exitCode = code;
    this.signalCode = signal;
    this.stdin.destroy();
    this.stdout.end();
    this.stderr.end();
    setImmediate(() => this.emit('exit', code, signal));
  }
}
