import type { ChildProcess } from 'node:child_process';
import type { Readable } from 'node:stream';
import { type Clock, setImmediate } from '../os/clock.ts';

/** Silence after the exit, in ms, after which another process is assumed to hold the pipe. */
const QUIET_MS = 100;
/**
 * Number of checks before data that still arrives is taken for another process's output.
 *
 * A kept descendant may write without end.
 */
const MAX_BUSY_LOOKS = 10;

type Streams = Pick<ChildProcess, 'stdout' | 'stderr'>;

/**
 * Resolves when stdout has ended for its reader and stderr is complete.
 *
 * A descendant that holds their pipes does not delay this. A stream that nobody reads ends later, and is not
 * awaited.
 */
export async function quietStreams({ stdout, stderr }: Streams, clock: Clock): Promise<void> {
  await Promise.all(
    [stdout, stderr].map(async (stream) => {
      if (stream === null) return;
      const isRead = stream.readableFlowing !== null;
      const cut = silence(stream, clock, isRead).then(() => void cutOff(stream, clock));
      if (isRead) await cut;
    }),
  );
}

/**
 * Resolves when the stream of an exited process has ended or has fallen silent.
 *
 * `'end'` and `'close'` would wait for every descendant that inherited the pipe, for hours if need be. They
 * would also wait for the reader, who may never come.
 */
function silence(stream: Readable, clock: Clock, keepAlive: boolean): Promise<void> {
  if (stream.readableEnded || stream.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    let cancel = (): void => undefined;
    const finish = (): void => {
      cancel();
      stream.off('end', finish).off('close', finish);
      resolve();
    };
    let readBefore = -1;
    let busyLooks = 0;
    const check = (): void => {
      // New data from the pipe restarts the wait.
      const { bytesRead = 0 } = stream as { bytesRead?: number };
      if (bytesRead === readBefore || ++busyLooks > MAX_BUSY_LOOKS) {
        finish();
        return;
      }
      readBefore = bytesRead;
      // Checks only after the event loop has polled: after a long block the timer fires before data is read.
      cancel = clock.after(QUIET_MS, () => setImmediate(check), { keepAlive });
    };
    stream.on('end', finish).on('close', finish);
    check();
  });
}

/**
 * Ends a silent stream for its reader, even if another process holds the other end of its pipe.
 *
 * Data that the reader has not taken yet stays in the stream's buffer. While the buffer is full, the pipe may
 * hold more.
 */
async function cutOff(stream: Readable, clock: Clock): Promise<void> {
  // The pause doubles: a reader that never comes must not cost a check at every interval.
  for (let pauseMs = QUIET_MS; isBehind(stream); pauseMs *= 2) {
    await new Promise<void>((resolve) => void clock.after(pauseMs, resolve));
    await silence(stream, clock, false);
  }
  if (stream.readableEnded || stream.destroyed) return;
  stream.once('end', () => stream.destroy());
  stream.push(null);
  // An empty read triggers 'end' even if nobody reads.
  stream.read(0);
}

function isBehind(stream: Readable): boolean {
  return !stream.destroyed && stream.readableLength >= stream.readableHighWaterMark;
}
