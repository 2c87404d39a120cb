import { lstatSync } from 'node:fs';
import { resolve } from 'node:path';
import { logPath } from '../store/layout.ts';
import type { DaemonOptions } from './options.ts';

/** Default size above which a log file is begun anew. */
export const LOG_MAX_BYTES = 10 * 1024 * 1024;

/** The log file of these options if it is too large by now, and its limit. */
export function fullLog({
  pidFile,
  logFile = logPath(resolve(pidFile)),
  logMaxBytes = LOG_MAX_BYTES,
}: Pick<DaemonOptions, 'pidFile' | 'logFile' | 'logMaxBytes'>):
  | { readonly path: string; readonly maxBytes: number }
  | undefined {
  if (logFile === null || logMaxBytes === null) return undefined;
  const path = resolve(logFile);
  const size = lstatSync(path, { throwIfNoEntry: false })?.size ?? 0;
  return size > logMaxBytes ? { path, maxBytes: logMaxBytes } : undefined;
}
