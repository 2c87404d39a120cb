import type { EventEmitter } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { FakeChild } from './fake-child.ts';

/** The exit code after SIGTERM (measured); any other signal ends the agent directly. */
const SIGTERM_CODE = 143;

/** A fake child process with streams, signals and one exit; it satisfies the SDK's `SpawnedProcess`. */
export interface FakeAgentProcess
  extends EventEmitter<{
    exit: [code: number | null, signal: NodeJS.Signals | null];
    error: [error: Error];
  }> {
  readonly pid: number;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly killed: boolean;
  readonly exitCode: number | null;
  readonly signalCode: NodeJS.Signals | null;
  kill(signal?: NodeJS.Signals): boolean;
}

/** The fake child process as its script sees it. */
export class AgentChild extends FakeChild implements FakeAgentProcess {
  /** Calls `onLine` for each line of stdin, then `onEnd`. */
  constructor(onLine: (line: string) => void, onEnd: () => void) {
    const decoder = new StringDecoder();
    let torn = '';
    const onChunk = (chunk: Buffer): void => {
      const lines = `${torn}${decoder.write(chunk)}`.split('\n');
      torn = lines.pop() ?? '';
      for (const line of lines) if (line !== '' && !this.isOver) onLine(line);
    };
    super({ onChunk, onEnd }, SIGTERM_CODE);
  }

  write(frame: object): void {
    if (!this.isOver) this.stdout.write(`${JSON.stringify(frame)}\n`);
  }
}
