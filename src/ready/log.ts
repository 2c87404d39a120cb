import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** Most bytes that are read of one start. */
const MAX_READ_BYTES = 1024 * 1024;

/** The log file of a daemon, and the part that it has written since its start. */
export interface DaemonLog {
  readonly path: string;
  /** Offset in bytes at which the output of this start begins. */
  readonly from: number;
}

/** Reads the output of a daemon since its start, at most its last mebibyte. */
export function readLog(log: DaemonLog | undefined): Buffer {
  if (log === undefined) return Buffer.alloc(0);
  let fd = -1;
  try {
    fd = openSync(log.path, 'r');
    const { size } = fstatSync(fd);
    // A log rotation may have emptied the file.
    const from = Math.max(size < log.from ? 0 : log.from, size - MAX_READ_BYTES);
    const buffer = Buffer.alloc(size - from);
    return buffer.subarray(0, readSync(fd, buffer, 0, buffer.length, from));
  } catch {
    return Buffer.alloc(0);
  } finally {
    if (fd >= 0) closeSync(fd);
  }
}
