import { constants, fstatSync, ftruncateSync, lstatSync, openSync } from 'node:fs';
import { SupervisorError } from '../index.ts';
import { secretValues } from '../process/redaction.ts';
import { StderrTail } from '../process/stderr-tail.ts';
import { type DaemonLog, readLog } from '../ready/log.ts';

/** Largest size of an existing log file; a larger one is emptied at the next start. */
const MAX_OLD_BYTES = 1024 * 1024;

/**
 * Opens the log file of a daemon that starts, to append to it. A file that has grown too large is emptied.
 *
 * @throws SupervisorError `INVALID_OPTIONS` for a file that cannot be appended to
 */
export function openLog(path: string): { readonly log: DaemonLog; readonly fd: number } {
  try {
    const there = lstatSync(path, { throwIfNoEntry: false });
    // Opening a named pipe would block this host until another process reads it.
    if (there && !there.isFile() && !there.isCharacterDevice())
      throw new Error('it is no ordinary file');
    const { O_APPEND, O_CREAT, O_WRONLY, O_NOFOLLOW = 0 } = constants;
    const fd = openSync(path, O_APPEND | O_CREAT | O_WRONLY | O_NOFOLLOW, 0o600);
    const size = fstatSync(fd).size;
    const isTooLarge = size > MAX_OLD_BYTES;
    if (isTooLarge) ftruncateSync(fd);
    return { fd, log: { path, from: isTooLarge ? 0 : size } };
  } catch (cause) {
    throw new SupervisorError(
      'INVALID_OPTIONS',
      `ensureDaemon: the log file ${path} cannot be appended to: ${(cause as Error).message}. Choose another path for "logFile", or null for none.`,
      { cause, data: { field: 'logFile', path } },
    );
  }
}

/** Returns the last lines of the log, without secrets. */
export function tailOf(log: DaemonLog | undefined, env: Readonly<Record<string, string>>): string {
  const tail = new StderrTail();
  tail.push(readLog(log));
  return tail.text(secretValues(env)).trim();
}
