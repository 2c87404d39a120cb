import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Os } from '../os/os.ts';
import { replaceFile, statOwn } from './files.ts';
import { judgeOwner } from './identity.ts';
import { FORMAT_VERSION, type PidFile, parsePidFile } from './record.ts';
import type { RecoveryContext } from './recovery.ts';

const MAX_PID_FILE_BYTES = 64 * 1024;

/** Writes the file by which others find a process and its socket, whole or not at all. */
export function writePidFile(path: string, content: Omit<PidFile, 'version'>): void {
  replaceFile(path, `${JSON.stringify({ version: FORMAT_VERSION, ...content })}\n`);
}

/**
 * Removes the pid files (`*.pid`) in the state directory whose process is proven dead, each with its
 * socket if that lies beside it; returns what was removed, or would be. A bare number proves nothing.
 */
export async function removeStaleFiles(context: RecoveryContext): Promise<string[]> {
  const { os, self, stateDir, dryRun } = context;
  const removed: string[] = [];
  // Read before the look: a process that writes its file during it may not be in it.
  const found = readdirSync(stateDir)
    .filter((name) => name.endsWith('.pid'))
    .map((name) => ({ path: join(stateDir, name), file: readPidFile(join(stateDir, name), os) }));
  if (found.length === 0) return removed;
  const table = await os.processes.look();
  for (const { path, file } of found) {
    if (file === undefined) continue;
    const verdict = judgeOwner({ ...file, instance: '' }, self, (pid) => table.get(pid));
    if (verdict !== 'dead' && verdict !== 'rebooted') continue;
    // Somebody may have taken its place since.
    if (JSON.stringify(readPidFile(path, os)) !== JSON.stringify(file)) continue;
    const { socket } = file;
    const stale =
      socket !== undefined && isOwnSocket(socket, stateDir, os) ? [socket, path] : [path];
    if (!dryRun) for (const each of stale) rmSync(each, { force: true });
    removed.push(...stale);
  }
  return removed;
}

function readPidFile(path: string, os: Os): PidFile | undefined {
  try {
    const stat = statOwn(path, os);
    if (!stat.isFile() || stat.size > MAX_PID_FILE_BYTES) return undefined;
    return parsePidFile(JSON.parse(readFileSync(path, 'utf8')));
  } catch {
    return undefined;
  }
}

function isOwnSocket(path: string, stateDir: string, os: Os): boolean {
  try {
    return dirname(path) === stateDir && statOwn(path, os).isSocket();
  } catch {
    return false;
  }
}
