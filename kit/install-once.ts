import { createHash } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { npm } from './npm.ts';
import { eventually } from './process-table.ts';

const LOCK = join(import.meta.dirname, '../node_modules/.install-lock');
const DEADLINE_MS = 8 * 60_000;

/**
 * Installs the packages of a folder's lock file, once for all workers and all runs until the lock
 * changes. Call it at the top level of a test file, where no test's time-out runs.
 */
export async function installOnce(folder: string, options: readonly string[]): Promise<void> {
  const marker = join(folder, 'node_modules/.installed');
  const wanted = createHash('sha256')
    .update(await readFile(join(folder, 'package-lock.json')))
    .digest('hex');
  const isInstalled = async (): Promise<boolean> =>
    (await readFile(marker, 'utf8').catch(() => '')) === wanted;

  const installInTurn = async (): Promise<boolean> => {
    if (await isInstalled()) return true;
    if (!(await takeLock())) return false;
    try {
      if (await isInstalled()) return true;
      await npm(['ci', '--no-audit', '--no-fund', ...options], folder);
      await writeFile(marker, wanted);
      return true;
    } finally {
      await rm(LOCK, { force: true });
    }
  };
  await eventually(installInTurn, {
    timeoutMs: DEADLINE_MS,
    everyMs: 200,
    what: `${folder} is installed (remove ${LOCK} and try again)`,
  });
}

/** Takes a lock file, which only one worker can create. It names its maker, whose death frees it. */
async function takeLock(): Promise<boolean> {
  try {
    await writeFile(LOCK, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const maker = Number(await readFile(LOCK, 'utf8').catch(() => ''));
  if (maker > 0 && !isAlive(maker)) await rm(LOCK, { force: true });
  return false;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
