import { GUARDIAN_NAME } from './guardian-name.ts';

/** The guardian process's arguments, and the pipe that only its host holds. */
export interface HostPipe {
  readonly args: readonly string[];
  /** All complete lines until the host is gone, for whatever reason the pipe ends. */
  readonly lines: AsyncIterable<string>;
  /** Tells the host that the guardian is ready, with its pid. */
  ready(): void;
}

/** The guardian's end of the pipe that `guardByNode` opened. */
export function hostPipe(): HostPipe {
  // If the host is gone already, its processes have to be ended all the more.
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
    // A broken pipe means the same as a closed one.
  }
}
