import type { ChildProcess } from 'node:child_process';
import type { Readable } from 'node:stream';
import { type Clock, setImmediate } from '../os/clock.ts';

/** How long a stream must be silent after the exit before we take its pipe as held by someone else. */
const QUIET_MS = 100;
/** How often we look before we take what still comes as someone else's: a kept descendant may write for ever. */
const MAX_BUSY_LOOKS = 10;

type Streams = Pick<ChildProcess, 'stdout' | 'stderr'>;

/**
 * stdout ends for its reader and stderr is complete, even if a descendant holds their pipes.
 *
 * What nobody reads ends for its reader later, and is waited for by nobody.
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
 * Resolves when a dead process's stream has ended or has fallen silent.
 *
 * `'end'` and `'close'` wait for every descendant that inherited the pipe, for hours if need be, and
 * for the reader, who may never come.
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
      // News from the pipe starts the wait anew.
      const { bytesRead = 0 } = stream as { bytesRead?: number };
      if (bytesRead === readBefore || ++busyLooks > MAX_BUSY_LOOKS) {
        finish();
        return;
      }
      readBefore = bytesRead;
      // Looks only after the loop has polled: after a long block the timer is due before the data is read.
      cancel = clock.after(QUIET_MS, () => setImmediate(check), { keepAlive });
    };
    stream.on('end', finish).on('close', finish);
    check();
  });
}

/**
 * Ends a silent stream for its reader, whoever still holds the other end of its pipe.
 *
 * What the reader has not taken yet stays in the stream's buffer for it; while that is full, there may
 * be more in the pipe.
 */
async function cutOff(stream: Readable, clock: Clock): Promise<void> {
  // The pause doubles: a reader that never comes must not cost a look every while for ever.
  for (let pauseMs = QUIET_MS; isBehind(stream); pauseMs *= 2) {
    await new Promise<void>((resolve) => void clock.after(pauseMs, resolve));
    await silence(stream, clock, false);
  }
  if (stream.readableEnded || stream.destroyed) return;
  stream.once('end', () => stream.destroy());
  stream.push(null);
  // An empty read lets 'end' come although nobody may be reading.
  stream.read(0);
}

function isBehind(stream: Readable): boolean {
  return !stream.destroyed && stream.readableLength >= stream.readableHighWaterMark;
}
