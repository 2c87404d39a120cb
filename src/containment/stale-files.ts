import { rmSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Os } from '../os/os.ts';
import { filesIn, statOwn } from '../store/files.ts';
import { removeHeartbeat } from '../store/heartbeat-file.ts';
import { contentOf, holds } from '../store/pid-file.ts';
import { isOver } from '../tree/identity.ts';
import type { RecoveryContext } from './context.ts';
import { judgeBy } from './judge.ts';

/**
 * Removes pid files (`*.pid`) of dead processes from the state directory.
 *
 * The process must be proven dead; a bare number proves nothing. The file's socket goes with it if it lies
 * beside it. Returns the paths that were removed, or would be.
 */
export async function removeStaleFiles(context: RecoveryContext): Promise<string[]> {
  const { os, stateDir, dryRun } = context;
  const removed: string[] = [];
  // Read before the snapshot: a process that writes its file during it may not be in it.
  const found = filesIn(stateDir, 'pid-file').map(({ path }) => ({
    path,
    file: contentOf(path, os),
  }));
  if (found.length === 0) return removed;
  const table = await os.processes.snapshot();
  for (const { path, file } of found) {
    if (file === undefined) continue;
    const { verdict } = await judgeBy(file, context, (pid) => table.get(pid));
    if (!isOver(verdict)) continue;
    // Another process may have taken the file's place since.
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

function isOwnSocket(path: string, stateDir: string, os: Os): boolean {
  try {
    return dirname(path) === stateDir && statOwn(path, os).isSocket();
  } catch {
    return false;
  }
}
