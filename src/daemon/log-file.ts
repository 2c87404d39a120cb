import { constants, fstatSync, lstatSync, openSync } from 'node:fs';
import { resolve } from 'node:path';
import { SupervisorError } from '../index.ts';
import type { Os } from '../os/os.ts';
import { secretValues } from '../process/redaction.ts';
import { StderrTail } from '../process/stderr-tail.ts';
import { type DaemonLog, readLog } from '../ready/log.ts';
import { logPath } from '../store/layout.ts';
import { fullLog } from './log-limit.ts';
import { rotateLog } from './rotate-log.ts';
import type { CheckedOptions } from './schema.ts';

/**
 * Opens the log file of a daemon that starts, to append to it.
 *
 * One that is too large is begun anew. Resolves to `undefined` for no log file.
 *
 * @throws SupervisorError `INVALID_OPTIONS` for a file that cannot be appended to
 */
export async function openLog(
  options: Pick<CheckedOptions, 'pidFile' | 'logFile' | 'logMaxBytes'>,
  os: Os,
): Promise<OpenLog | undefined> {
  const { pidFile, logFile = logPath(pidFile) } = options;
  if (logFile === null) return undefined;
  const full = fullLog(options);
  if (full !== undefined) await rotateLog(full.path, full.maxBytes, os);
  return openAt(resolve(logFile));
}

interface OpenLog {
  readonly log: DaemonLog;
  readonly fd: number;
}

function openAt(path: string): OpenLog {
  try {
    const there = lstatSync(path, { throwIfNoEntry: false });
    // Opening a named pipe would block this host until another process reads it.
    if (there && !there.isFile() && !there.isCharacterDevice())
      throw new Error('it is no ordinary file');
    const { O_APPEND, O_CREAT, O_WRONLY, O_NOFOLLOW = 0 } = constants;
    const fd = openSync(path, O_APPEND | O_CREAT | O_WRONLY | O_NOFOLLOW, 0o600);
    return { fd, log: { path, from: fstatSync(fd).size } };
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

/** Tells if a file is what this process writes its stdout or stderr to. */
export function isOwnOutput(path: string): boolean {
  try {
    const { dev, ino } = lstatSync(path);
    return [1, 2].some((fd) => {
      const stat = fstatSync(fd);
      return stat.dev === dev && stat.ino === ino;
    });
  } catch {
    return false;
  }
}
