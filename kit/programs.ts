// Programs that some tests need, such as a browser and other shells.
import { existsSync } from 'node:fs';

/**
 * Checks that a program is there, by absolute path, and prints a note if it is not. Always `true` in
 * CI, where a missing program must fail its test.
 */
export function hasProgram(path: string): boolean {
  const isThere = existsSync(path);
  if (!isThere) console.warn(`left out: there is no ${path}`);
  return isThere || process.env['CI'] !== undefined;
}
