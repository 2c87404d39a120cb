// Libraries that start agents by themselves: node-pty, which npm compiles, and the Codex SDK.
import { join } from 'node:path';
import { installOnce } from './install-once.ts';

const FOLDER = join(import.meta.dirname, 'launchers');

const LAUNCHER_NAMES = ['node-pty', '@openai/codex-sdk'] as const;

/**
 * Installs the libraries that launch agents. Returns their folder, or `undefined` with a note where
 * they cannot be installed (no compiler, no registry); throws in CI. Call it at the top level of a test
 * file, where no test's time-out runs.
 */
export async function launchers(): Promise<string | undefined> {
  try {
    // Codex itself is large, and not needed: the tests have a program of their own in its place.
    await installOnce(FOLDER, ['--omit=optional', '--foreground-scripts']);
    return join(FOLDER, 'node_modules');
  } catch (error) {
    if (process.env['CI'] !== undefined) throw error;
    console.warn(`left out: ${LAUNCHER_NAMES.join(' and ')} cannot be installed: ${String(error)}`);
    return undefined;
  }
}
