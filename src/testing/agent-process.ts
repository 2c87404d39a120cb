import { EventEmitter } from 'node:events';
import { PassThrough, Writable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { setImmediate, systemClock } from '../os/clock.ts';

/** No system has so large a number for a process (Linux: 2^22), nor an odd one there (Windows): no signal can meet anybody. */
const FIRST_PID = 2 ** 30 + 1;
let processes = 0;

/** How the agent takes a signal: SIGTERM makes it exit with 143 (measured), every other one is its death. */
const SIGTERM_CODE = 143;
const FOREVER_MS = Number.MAX_SAFE_INTEGER;

/** The outside of an agent that is no process: streams, signals, one exit. It satisfies the SDK's `SpawnedProcess`. */
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
  /** As a child does: who waits for it is not left in the middle of that. */
  readonly #letGo = systemClock.after(FOREVER_MS, () => undefined, { keepAlive: true });
  #torn = '';

  /** Its stdin is read line by line, until its end. */
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
    // What is written after its exit is told by the exit.
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
    this.#letGo();
    this.exitCode = code;
    this.signalCode = signal;
    this.stdin.destroy();
    this.stdout.end();
    this.stderr.end();
    setImmediate(() => this.emit('exit', code, signal));
  }
}
