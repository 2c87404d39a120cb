import { lstatSync, renameSync, rmSync } from 'node:fs';
import { builtin } from './builtin.ts';
import { clearTimeout, setTimeout } from './clock.ts';

/** What sun_path of unix(7) holds, without its last zero. */
const MAX_PATH_BYTES = 107;
/** How long an answer may take: a refusal comes at once, a word when the process gets to it. */
const ANSWER_MS = 1000;

/** A socket that somebody listens on for as long as the process lives, and who shares its descriptor. */
export interface LivenessSocket {
  /** For a helper that is to be outlived as well; `undefined` where the runtime does not show it. */
  readonly fd: number | undefined;
  /** Stops listening. */
  close(): void;
}

/** Where a socket is bound before it gets its name: Node removes at its exit what it has bound, and a dead one's socket has to stay, to refuse. */
export function boundPath(path: string): string {
  return `${path}~`;
}

/**
 * Listens at `path`, in the same tick and without keeping the process alive; `undefined` where no socket
 * can be made: a path that is too long, a file system without them.
 */
export function listenForLife(path: string): LivenessSocket | undefined {
  const bound = boundPath(path);
  if (Buffer.byteLength(bound) > MAX_PATH_BYTES) return undefined;
  const { createServer } = builtin('node:net');
  // A word says more than that somebody listens: a stopped process does, too, and a guardian.
  const server = createServer((connection) => connection.on('error', () => undefined).end('alive'));
  server.on('error', () => undefined);
  try {
    rmSync(bound, { force: true });
    // In a worker of node:cluster the primary would listen, and outlive it.
    server.listen({ path: bound, exclusive: true });
    server.unref();
    if (!lstatSync(bound).isSocket()) throw new Error(`${bound} is no socket`);
    renameSync(bound, path);
  } catch {
    server.close();
    return undefined;
  }
  const { _handle: handle } = server as { _handle?: { fd?: unknown } };
  const fd = typeof handle?.fd === 'number' && handle.fd > 0 ? handle.fd : undefined;
  return { fd, close: () => void server.close() };
}

/** Whether nobody of this kernel listens on a socket any more, or its owner answers; anything else proves nothing. */
export function askForLife(path: string): Promise<'alive' | 'refused' | 'silent'> {
  const { connect } = builtin('node:net');
  return new Promise((resolve) => {
    const settle = (answer: 'alive' | 'refused' | 'silent'): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const timer = setTimeout(() => settle('silent'), ANSWER_MS);
    const socket = connect({ path });
    socket
      .on('error', ({ code }: NodeJS.ErrnoException) =>
        settle(code === 'ECONNREFUSED' ? 'refused' : 'silent'),
      )
      .once('data', () => settle('alive'));
  });
}

/**
 * Tells a socket from every other on this kernel: one that came later at its path, or the same file seen
 * through another mount, where the kernel would not find who listens.
 */
export function socketKey(path: string): string | undefined {
  const stat = lstatSync(path, { throwIfNoEntry: false, bigint: true });
  return stat?.isSocket() ? `${stat.dev} ${stat.ino} ${stat.birthtimeNs}` : undefined;
}
