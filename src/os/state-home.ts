import { accessSync, constants, lstatSync, statSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Platform, StateFallback } from './os.ts';

/** The user's folder for application state; throws if the user has no home. */
export function stateHome(platform: Platform): string {
  if (platform === 'darwin') return join(homedir(), 'Library', 'Application Support');
  if (platform === 'win32') {
    return process.env['LOCALAPPDATA'] ?? join(homedir(), 'AppData', 'Local');
  }
  return process.env['XDG_STATE_HOME'] || join(homedir(), '.local', 'state');
}

/**
 * Finds a folder in `$XDG_RUNTIME_DIR` or the temporary directory for a user without a writable
 * home. Returns `undefined` if the home is writable, or nothing better exists. Creates nothing.
 */
export function stateFallback(platform: Platform, name: string): StateFallback | undefined {
  const userId = process.getuid?.();
  if (userId === undefined) return undefined;
  const reason = whyNotWritable(() => join(stateHome(platform), name));
  if (reason === undefined) return undefined;
  const bases = [process.env['XDG_RUNTIME_DIR'], tmpdir()];
  for (const base of bases) {
    if (!base) continue;
    const path = join(base, `${name}-${userId}`);
    if (whyNotWritable(() => path) === undefined && isFreeOrPrivate(path, userId))
      return { path, reason };
  }
  return undefined;
}

/** The reason why no folder could be created or written at a path; `undefined` if it could. */
function whyNotWritable(find: () => string): string | undefined {
  try {
    const there = nearestExisting(find());
    if (!statSync(there).isDirectory()) return `${there} is no folder`;
    // Root passes every mode check, but not a read-only file system.
    accessSync(there, constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

function nearestExisting(path: string): string {
  try {
    statSync(path);
    return path;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const parent = dirname(path);
    if ((code !== 'ENOENT' && code !== 'ENOTDIR') || parent === path) throw error;
    return nearestExisting(parent);
  }
}

/** Others may write to the parent folder: an entry of theirs must not be used. */
function isFreeOrPrivate(path: string, userId: number): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return true;
  return stat.isDirectory() && stat.uid === userId && (stat.mode & 0o077) === 0;
}
