// Runs the command in this process, with streams in memory.
import { Writable } from 'node:stream';
import { execute } from '../src/cli/execute.ts';
import type { Outcome } from './command-line.ts';

/** Runs a command that starts no process, without the half second of a new process. */
export async function callInside(args: readonly string[]): Promise<Outcome> {
  const controller = new AbortController();
  const [stdout, stderr] = [new Paper(), new Paper()];
  let code = 0;
  await execute({
    ...{ args, stdout, stderr },
    ...{ isTty: false, hasPages: false, canAsk: false, hasColor: false },
    ended: controller.signal,
    checkReader: () => undefined,
    size: () => ({ columns: 80, rows: 24 }),
    onResize: () => () => undefined,
    onKey: () => () => undefined,
    feed: () => () => undefined,
    isTyped: true,
    ask: async () => '',
    setExitCode: (exitCode) => {
      code = exitCode;
    },
    end: () => controller.abort(),
  });
  return { code, stdout: stdout.text, stderr: stderr.text };
}

/** Keeps everything that is written to it. */
class Paper extends Writable {
  text = '';

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}
