import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { hashName } from '../os/hash.ts';
import type { Os } from '../os/os.ts';
import { makePrivateFolder, namesIn, statOwn } from './files.ts';
import { sessionOfFolder, sessionPath, workingFolderPath, workingFoldersPath } from './layout.ts';
import type { Retention } from './retention.ts';

interface FolderContext {
  readonly os: Os;
  readonly stateDir: string;
}

/** Makes the private folder that background agents work in, or a session's own; returns its path, the same each time. */
export function makeWorkingFolder({ os, stateDir }: FolderContext, session?: string): string {
  // An id may be a path: its hash is none.
  const path = workingFolderPath(stateDir, session && hashName(session));
  for (const folder of [stateDir, workingFoldersPath(stateDir), path])
    makePrivateFolder(folder, os.userId());
  return path;
}

/**
 * Removes the working folders of forgotten sessions.
 *
 * These are sessions that were just forgotten, by their hash, and folders without a session's file that were
 * not touched for `retentionMs`.
 */
export async function removeWorkingFolders(
  { os, stateDir }: FolderContext,
  {
    forgotten,
    retentionMs,
    retention,
  }: { forgotten: ReadonlySet<string>; retentionMs: number; retention: Retention },
): Promise<void> {
  const parent = workingFoldersPath(stateDir);
  for (const name of namesIn(parent)) {
    const hash = sessionOfFolder(name);
    if (hash === undefined) continue;
    const path = join(parent, name);
    if (!forgotten.has(hash) && !isForgotten(path, sessionPath(stateDir, hash))) continue;
    // In turns of the event loop: an agent may have left a great many files. A link in it is removed, and not followed.
    if (!isOwnFolder(path)) continue;
    const { rm } = await import('node:fs/promises');
    await rm(path, { recursive: true, force: true });
  }

  function isForgotten(path: string, file: string): boolean {
    if (lstatSync(file, { throwIfNoEntry: false }) !== undefined) return false;
    const { mtimeMs, birthtimeMs } = lstatSync(path, { throwIfNoEntry: false }) ?? {};
    return retention.isOver(Math.max(mtimeMs ?? 0, birthtimeMs ?? 0), retentionMs);
  }

  function isOwnFolder(path: string): boolean {
    try {
      return statOwn(path, os).isDirectory();
    } catch {
      return false;
    }
  }
}
