import { lstatSync, renameSync, rmSync } from 'node:fs';
import { builtin } from './builtin.ts';
import { clearTimeout, setTimeout } from './clock.ts';

/** Length of sun_path in unix(7), without its terminating zero. */
const MAX_PATH_BYTES = 107;
/** Longest wait for an answer: refusals come at once, an answer as soon as the process runs. */
const ANSWER_MS = 1000;

/**
 * A listening socket that stays open as long as its process, or a process that shares its
 * descriptor.
 */
export interface LivenessSocket {
  /**
   * For the guardian, whose death has to be waited for too; `undefined` where the runtime does not
   * show it.
   */
  readonly fd: number | undefined;
  /** Stops listening. */
  close(): void;
}

/**
 * The path at which a socket is bound before it is renamed. At exit Node removes the path it has
 * bound, but a dead owner's socket has to stay and refuse connections.
 */
export function boundPath(path: string): string {
  return `${path}~`;
}

/**
 * Listens at `path` in the same tick, without keeping the process alive. Returns `undefined` where
 * no socket can be made: the path is too long, or the file system has no sockets.
 */
export function listenForLife(path: string): LivenessSocket | undefined {
  const bound = boundPath(path);
  if (Buffer.byteLength(bound) > MAX_PATH_BYTES) return undefined;
  const { createServer } = builtin('node:net');
  // An accepted connection alone is no proof: the kernel accepts for a stopped process and for a
  // guardian too.
  const server = createServer((connection) => connection.on('error', () => undefined).end('alive'));
  server.on('error', () => undefined);
  try {
    rmSync(bound, { force: true });
    // Without it the primary of a node:cluster worker would listen, and outlive the worker.
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

/**
 * Connects to a socket: `refused` if no process of this kernel listens, `alive` if its owner
 * answers. `silent` proves nothing.
 */
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
 * Identifies a socket on this kernel. It differs for a later socket at the same path. It also
 * differs for the same file seen through another mount, where the kernel would not find the
 * listener.
 */
export function socketKey(path: string): string | undefined {
  const stat = lstatSync(path, { throwIfNoEntry: false, bigint: true });
  return stat?.isSocket() ? `${stat.dev} ${stat.ino} ${stat.birthtimeNs}` : undefined;
}
