import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** How much of a start is looked at. */
const MAX_READ_BYTES = 1024 * 1024;

/** What a daemon has written since its start. */
export interface DaemonLog {
  readonly path: string;
  /** Where the start begins in the file. */
  readonly from: number;
}

/** What the daemon has written since its start, the last mebibyte of it. */
export function readLog(log: DaemonLog | undefined): Buffer {
  if (log === undefined) return Buffer.alloc(0);
  let fd = -1;
  try {
    fd = openSync(log.path, 'r');
    const { size } = fstatSync(fd);
    // Whoever rotates logs may have begun it anew.
    const from = Math.max(size < log.from ? 0 : log.from, size - MAX_READ_BYTES);
    const buffer = Buffer.alloc(size - from);
    return buffer.subarray(0, readSync(fd, buffer, 0, buffer.length, from));
  } catch {
    return Buffer.alloc(0);
  } finally {
    if (fd >= 0) closeSync(fd);
  }
}
