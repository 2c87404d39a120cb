import { linkSync, lstatSync, readFileSync, renameSync, rmSync, type Stats } from 'node:fs';
import { dirname, join } from 'node:path';
import { judgeBy } from '../containment/judge.ts';
import type { RecoveryContext } from '../containment/recovery.ts';
import type { Os } from '../os/os.ts';
import { isOver } from '../tree/identity.ts';
import { namesIn, replaceFile, statOwn } from './files.ts';
import { removeHeartbeat } from './heartbeat-file.ts';
import { PID_FILE_VERSION, type PidFile, parsePidFile } from './pid-record.ts';

const MAX_PID_FILE_BYTES = 64 * 1024;

/** What lies at a pid file's path; `corrupt` is a file of our own that is no pid file. */
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

/** Puts a pid file in the place of the one before, whole or not at all. */
export function replacePidFile(path: string, content: Omit<PidFile, 'version'>): void {
  replaceFile(path, pidFileText(content));
}

/**
 * Moves a file to a name of our own if it still is what the caller has read (`isIt`), and nothing else:
 * what somebody has put there since goes back. Of all who try it at once one succeeds.
 */
export function setAside(path: string, aside: string, isIt: (path: string) => boolean): boolean {
  try {
    if (!isIt(path)) return false;
    renameSync(path, aside);
  } catch {
    return false;
  }
  if (isIt(aside)) return true;
  putBack(aside, path);
  return false;
}

function putBack(aside: string, path: string): void {
  try {
    // Not over one that has come meanwhile.
    linkSync(aside, path);
    rmSync(aside, { force: true });
  } catch (error) {
    // A file system without second names.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') renameSync(aside, path);
    else rmSync(aside, { force: true });
  }
}

/**
 * Removes the pid files (`*.pid`) in the state directory whose process is proven dead, each with its
 * socket if that lies beside it; returns what was removed, or would be. A bare number proves nothing.
 */
export async function removeStaleFiles(context: RecoveryContext): Promise<string[]> {
  const { os, stateDir, dryRun } = context;
  const removed: string[] = [];
  // Read before the look: a process that writes its file during it may not be in it.
  const found = namesIn(stateDir)
    .filter((name) => name.endsWith('.pid'))
    .map((name) => ({ path: join(stateDir, name), file: contentOf(join(stateDir, name), os) }));
  if (found.length === 0) return removed;
  const table = await os.processes.snapshot();
  for (const { path, file } of found) {
    if (file === undefined) continue;
    const { verdict } = await judgeBy(file, context, (pid) => table.get(pid));
    if (!isOver(verdict)) continue;
    // Somebody may have taken its place since.
    if (!holds(path, file, os)) continue;
    const { socket } = file;
    const stale =
      socket !== undefined && isOwnSocket(socket, stateDir, os) ? [socket, path] : [path];
    if (!dryRun) {
      for (const each of stale) rmSync(each, { force: true });
      removeHeartbeat(stateDir, file.heartbeat);
    }
    removed.push(...stale);
  }
  return removed;
}

/** What a pid file says; `undefined` for one that is not there or cannot be trusted. */
export function contentOf(path: string, os: Pick<Os, 'userId'>): PidFile | undefined {
  const reading = readPidFile(path, os);
  return reading.found === 'file' ? reading.file : undefined;
}

/** Whether a pid file still says what was read in it. */
export function holds(path: string, file: PidFile, os: Pick<Os, 'userId'>): boolean {
  // Read once more, so that both have their fields in the same order.
  return JSON.stringify(contentOf(path, os)) === JSON.stringify(parsePidFile(file));
}

function isOwnSocket(path: string, stateDir: string, os: Os): boolean {
  try {
    return dirname(path) === stateDir && statOwn(path, os).isSocket();
  } catch {
    return false;
  }
}
