import { Writable } from 'node:stream';

let shared: Writable | undefined;

/**
 * The host's own stderr, for the messages of its processes.
 *
 * The reader of the host's stderr may be gone. That is no error for a host that writes nothing
 * itself, so an error of our writes never reaches it.
 */
export function hostStderr(): Writable {
  shared ??= new Writable({
    write(chunk: Uint8Array, _encoding, written) {
      const { stderr } = process;
      if (stderr.destroyed) {
        written();
        return;
      }
      stderr.once('error', ignore);
      stderr.write(chunk, (error) => {
        // The error event comes after this callback, and only if there was an error.
        if (!error) stderr.off('error', ignore);
        written();
      });
    },
  });
  // Many readers may wait for the same drain.
  return shared.setMaxListeners(0);
}

/** True if a stream is the one that {@link hostStderr} writes to. */
export function isHostStderr(stream: unknown): boolean {
  return stream === process.stderr;
}

function ignore(): void {}
