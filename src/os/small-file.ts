import { closeSync, openSync, readSync } from 'node:fs';

/** More than /proc/vmstat and every other file that is read here. */
const buffer = Buffer.allocUnsafeSlow(16 * 1024);

/** Returns a small file's text; `''` if it is gone or cannot be read. */
export function readSmallFile(path: string): string {
  let fd = -1;
  try {
    fd = openSync(path, 'r');
    return buffer.toString('latin1', 0, readSync(fd, buffer, 0, buffer.length, 0));
  } catch {
    return '';
  } finally {
    if (fd >= 0) closeSync(fd);
  }
}
