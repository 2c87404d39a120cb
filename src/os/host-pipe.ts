import { GUARDIAN_NAME } from './guardian-name.ts';

/** What the guardian's process was started with, and the pipe that only its host holds. */
export interface HostPipe {
  readonly args: readonly string[];
  /** Every whole line until the host is gone, whatever ends the pipe. */
  readonly lines: AsyncIterable<string>;
  /** Tells the host that it is guarded, and by which process. */
  ready(): void;
}

/** The guardian's own end of what `guardByNode` has started. */
export function hostPipe(): HostPipe {
  // A host that is gone before it could be told has all the more to be ended.
  process.stdout.on('error', () => undefined);
  return {
    args: process.argv.slice(process.argv.indexOf(GUARDIAN_NAME) + 1),
    lines: linesOf(process.stdin),
    ready: () => void process.stdout.write(`ready ${process.pid}\n`),
  };
}

async function* linesOf(stream: NodeJS.ReadStream): AsyncGenerator<string> {
  let torn = '';
  try {
    for await (const text of stream.setEncoding('utf8')) {
      const lines = `${torn}${text}`.split('\n');
      torn = lines.pop() ?? '';
      yield* lines;
    }
  } catch {
    // A pipe that breaks is one that ends.
  }
}
