import { linkSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { createNew, FILE_MODE } from './files.ts';
import { temporaryPath } from './layout.ts';

/*
 * Files that several processes want at the same moment, and one of them gets. Each step is one system call
 * that only one caller can win, so that nothing is lost by whoever dies or is stopped between two steps.
 */

/** Errors of a file system that has no hard links. */
const NO_LINKS: ReadonlySet<unknown> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);

/** Creates a file with all of its content at once; `false` if there is one already. */
export function createExclusive(
  path: string,
  text: string,
  writer: string,
  link: (existing: string, path: string) => void = linkSync,
): boolean {
  const temporary = temporaryPath(path, writer);
  try {
    writeFileSync(temporary, text, { mode: FILE_MODE });
    link(temporary, path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return false;
    if (!NO_LINKS.has(code)) throw error;
    return createNew(path, text);
  } finally {
    rmSync(temporary, { force: true });
  }
  return true;
}

/**
 * Moves a file to `aside` if it is the file that the caller means (`isIt`).
 *
 * A file that has replaced it meanwhile is put back. Of several callers at once, one succeeds.
 */
export function takeIf(path: string, aside: string, isIt: (path: string) => boolean): boolean {
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
    // Not over a file that has come meanwhile.
    linkSync(aside, path);
    rmSync(aside, { force: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') rmSync(aside, { force: true });
    // A file system without second names.
    else renameSync(aside, path);
  }
}

/** Removes a file; throws if another caller was faster. (`rmSync` looks first, and lets all believe that they did.) */
export function takeFile(path: string): void {
  unlinkSync(path);
}
