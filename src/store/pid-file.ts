import { lstatSync, readFileSync, type Stats } from 'node:fs';
import type { Os } from '../os/os.ts';
import { replaceFile } from './files.ts';
import { PID_FILE_VERSION, type PidFile, parsePidFile } from './pid-record.ts';

const MAX_PID_FILE_BYTES = 64 * 1024;

/** The thing at a pid file's path; `corrupt` is a file of our own that is no pid file. */
export type PidFileReading =
  | { readonly found: 'missing' }
  | { readonly found: 'file'; readonly file: PidFile }
  | { readonly found: 'corrupt'; readonly reason: string; readonly stat: Stats }
  | { readonly found: 'unusable'; readonly reason: string };

/** Looks at a pid file without following a link, or reading what is too large to be one. */
export function readPidFile(path: string, os: Pick<Os, 'userId'>): PidFileReading {
  let stat: Stats;
  try {
    stat = lstatSync(path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return code === 'ENOENT' ? { found: 'missing' } : { found: 'unusable', reason: message };
  }
  const userId = os.userId();
  if (!stat.isFile()) return { found: 'unusable', reason: `it is ${kindOf(stat)}` };
  if (userId !== undefined && stat.uid !== userId)
    return { found: 'unusable', reason: `it belongs to uid ${stat.uid}` };
  if (stat.size > MAX_PID_FILE_BYTES)
    return { found: 'corrupt', reason: `it has ${stat.size} bytes`, stat };
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return code === 'ENOENT' ? { found: 'missing' } : { found: 'unusable', reason: message };
  }
  const file = parseText(text);
  if (file === undefined) return { found: 'corrupt', reason: 'it is no pid file', stat };
  return { found: 'file', file };
}

function kindOf(stat: Stats): string {
  if (stat.isDirectory()) return 'a folder';
  return stat.isSymbolicLink() ? 'a symbolic link' : 'no ordinary file';
}

function parseText(text: string): PidFile | undefined {
  try {
    return parsePidFile(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** The text of a pid file. */
export function pidFileText(content: Omit<PidFile, 'version'>): string {
  return `${JSON.stringify({ ...content, version: PID_FILE_VERSION })}\n`;
}

/** Replaces a pid file, whole or not at all. */
export function replacePidFile(path: string, content: Omit<PidFile, 'version'>): void {
  replaceFile(path, pidFileText(content));
}

/** Reads a pid file; `undefined` for one that is missing or cannot be trusted. */
export function contentOf(path: string, os: Pick<Os, 'userId'>): PidFile | undefined {
  const reading = readPidFile(path, os);
  return reading.found === 'file' ? reading.file : undefined;
}

/** Tells that a pid file still has the content that was read. */
export function holds(path: string, file: PidFile, os: Pick<Os, 'userId'>): boolean {
  // Read once more, so that both have their fields in the same order.
  return JSON.stringify(contentOf(path, os)) === JSON.stringify(parsePidFile(file));
}
