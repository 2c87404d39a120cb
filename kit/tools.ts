// Other people's tools, which only the tests want: bundlers, loaders, process supervisors.
import { join } from 'node:path';
import { installOnce } from './install-once.ts';

/** The tools that kit/tools/package.json pins, and each one's script for Node. */
const SCRIPTS = {
  concurrently: 'concurrently/dist/bin/index.js',
  esbuild: 'esbuild/bin/esbuild',
  jest: 'jest/bin/jest.js',
  nodemon: 'nodemon/bin/nodemon.js',
  pm2: 'pm2/bin/pm2',
  tsx: 'tsx/dist/cli.mjs',
} as const;

export type ToolName = keyof typeof SCRIPTS;

export const TOOL_NAMES = Object.keys(SCRIPTS) as ToolName[];

/** Where the small tools are installed, which `npm test` uses as well. */
export const TOOLS = join(import.meta.dirname, 'tools');
/** Where the large ones are. */
const BUNDLERS = join(import.meta.dirname, 'bundlers');

/** What else it pins: packages that hosts have beside this one. */
export const LIBRARY_NAMES = [
  '@happy-dom/global-registrator',
  'signal-exit',
  'signal-exit-3',
] as const;

/**
 * The absolute path of a tool's script. The first call on a machine installs all of them.
 * Call it at the top level of a test file, where no test's time-out runs.
 */
export async function tool(name: ToolName): Promise<string> {
  return join(await modules(), SCRIPTS[name]);
}

/** The absolute path of a library's folder; as `tool`. */
export async function library(name: (typeof LIBRARY_NAMES)[number]): Promise<string> {
  return join(await modules(), name);
}

async function modules(): Promise<string> {
  // esbuild works without its own script, which would put a binary in the place of the one for Node.
  await installOnce(TOOLS, ['--ignore-scripts']);
  return join(TOOLS, 'node_modules');
}

/** The folder where bundlers and loaders are installed (half a gigabyte); called as {@link tool} is. */
export async function bundlers(): Promise<string> {
  await installOnce(BUNDLERS, ['--ignore-scripts']);
  return BUNDLERS;
}
