import { Writable } from 'node:stream';

let shared: Writable | undefined;

/**
 * The host's own stderr, for what its processes say there.
 *
 * Whoever listens to the host may be gone. That is no error of a host that says nothing itself, so an
 * error of our writing never reaches it.
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
        // The event comes after this, and only if there was an error.
        if (!error) stderr.off('error', ignore);
        written();
      });
    },
  });
  // All servers that wait for it do so at once.
  return shared.setMaxListeners(0);
}

/** Whether a stream is the one that {@link hostStderr} writes to. */
export function isHostStderr(stream: unknown): boolean {
  return stream === process.stderr;
}

function ignore(): void {}
