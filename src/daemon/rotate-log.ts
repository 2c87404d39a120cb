import {
  constants,
  fstatSync,
  ftruncateSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { Os } from '../os/os.ts';
import { FILE_MODE } from '../store/files.ts';
import { rotatedLogPath, temporaryPath } from '../store/layout.ts';

const CHUNK_BYTES = 256 * 1024;
/** Age at which an unfinished copy is that of a process which died over it. */
const ABANDONED_MS = 60_000;

/**
 * Begins a log file anew if it is too large; its last `maxBytes` are kept as `PATH.1`.
 *
 * The daemon goes on writing to the same file, so it is copied and emptied, not renamed. Resolves to
 * `true` if this call did it. It never rejects: a log that cannot be rotated is no reason to stop.
 */
export async function rotateLog(path: string, maxBytes: number, os: Os): Promise<boolean> {
  const kept = rotatedLogPath(path);
  const copy = temporaryPath(kept);
  let from: FileHandle | undefined;
  let to: FileHandle | undefined;
  try {
    const { O_NOFOLLOW = 0, O_NONBLOCK = 0, O_RDWR } = constants;
    from = await open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK);
    const { size } = fstatSync(from.fd);
    if (!isOwnFile(from.fd, os) || size <= maxBytes) return false;
    removeAbandoned(copy, os);
    // Of several at once, one copies.
    to = await open(copy, 'wx', FILE_MODE);
    const end = await copyUntilEnd(from, to, size - maxBytes);
    return finish({ from, to, end, copy, kept });
  } catch {
    return false;
  } finally {
    await from?.close();
    if (to !== undefined) {
      await to.close();
      rmSync(copy, { force: true });
    }
  }
}

function isOwnFile(fd: number, os: Os): boolean {
  const stat = fstatSync(fd);
  const userId = os.userId();
  return stat.isFile() && (userId === undefined || stat.uid === userId);
}

function removeAbandoned(copy: string, os: Os): void {
  const stat = statSync(copy, { throwIfNoEntry: false });
  if (stat !== undefined && os.clock.now() - stat.mtimeMs > ABANDONED_MS) rmSync(copy);
}

/** Copies in slices, so that no long copy blocks the event loop; returns the end of the copied part. */
async function copyUntilEnd(from: FileHandle, to: FileHandle, start: number): Promise<number> {
  const buffer = Buffer.alloc(CHUNK_BYTES);
  for (let at = start; ; ) {
    const { bytesRead } = await from.read(buffer, 0, buffer.length, at);
    await to.write(buffer, 0, bytesRead);
    at += bytesRead;
    if (bytesRead < buffer.length) return at;
  }
}

/** Copies the rest, and empties the log, in one tick: few lines can be written in between, if any. */
function finish(parts: {
  readonly from: FileHandle;
  readonly to: FileHandle;
  readonly end: number;
  readonly copy: string;
  readonly kept: string;
}): boolean {
  const { from, to, end, copy, kept } = parts;
  const { size } = fstatSync(from.fd);
  // Somebody else has emptied it.
  if (size < end) return false;
  const rest = Buffer.alloc(Math.min(size - end, CHUNK_BYTES));
  writeSync(to.fd, rest.subarray(0, readSync(from.fd, rest, 0, rest.length, end)));
  renameSync(copy, kept);
  ftruncateSync(from.fd);
  return true;
}
