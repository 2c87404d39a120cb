// Third-party tools that only the tests use: bundlers, loaders, process supervisors.
import { join } from 'node:path';
import { installOnce } from './install-once.ts';

/** The tools of kit/tools/package.json, with the script of each. */
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

/** The folder of the small tools, which `npm test` uses as well. */
export const TOOLS = join(import.meta.dirname, 'tools');
/** The folder of the large ones. */
const BUNDLERS = join(import.meta.dirname, 'bundlers');

/** Other packages in it: libraries that hosts use beside this one. */
export const LIBRARY_NAMES = [
  '@happy-dom/global-registrator',
  'signal-exit',
  'signal-exit-3',
] as const;

/**
 * Returns the absolute path of a tool's script. The first call on a machine installs all of them. Call
 * it at the top level of a test file, where no test's time-out runs.
 */
export async function tool(name: ToolName): Promise<string> {
  return join(await modules(), SCRIPTS[name]);
}

/** Returns the absolute path of a library's folder; call it as {@link tool}. */
export async function library(name: (typeof LIBRARY_NAMES)[number]): Promise<string> {
  return join(await modules(), name);
}

async function modules(): Promise<string> {
  // esbuild's install script would replace its script for Node by a binary.
  await installOnce(TOOLS, ['--ignore-scripts']);
  return join(TOOLS, 'node_modules');
}

/** Installs bundlers and loaders (half a gigabyte), and returns their folder. Call it as {@link tool}. */
export async function bundlers(): Promise<string> {
  await installOnce(BUNDLERS, ['--ignore-scripts']);
  return BUNDLERS;
}
