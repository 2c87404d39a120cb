// Where the hosts of tests find the sources (build-sources.ts).
import { join } from 'node:path';

export const ROOT = join(import.meta.dirname, '..');
/** The command's source. */
export const MAIN = 'src/cli/main.ts';
/** The folder of the bundled sources, for the workers of this run. */
export const FOLDER_VARIABLE = 'TEST_SOURCES';
/** A module for `--import`. */
export const HOOK = 'hook.mjs';

export const builtName = (source: string): string => source.replace(/^src\/(.*)\.ts$/, '$1');

/** Flags of Node with which a host loads the bundled sources; none outside of a test run. */
export function sourceFlags(): readonly string[] {
  const folder = process.env[FOLDER_VARIABLE];
  return folder === undefined ? [] : ['--import', join(folder, HOOK)];
}

/** The main file of the command, bundled within a test run. */
export function commandFile(): string {
  const folder = process.env[FOLDER_VARIABLE];
  return folder === undefined ? join(ROOT, MAIN) : join(folder, `${builtName(MAIN)}.js`);
}
