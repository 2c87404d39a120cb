// Programs of the machine that some tests want, as a browser and other shells.
import { existsSync } from 'node:fs';

/**
 * Whether a program is there, by its absolute path; if not, says what is left out.
 * In CI it is always `true`: a program that is missing there fails its test.
 */
export function hasProgram(path: string): boolean {
  const isThere = existsSync(path);
  if (!isThere) console.warn(`left out: there is no ${path}`);
  return isThere || process.env['CI'] !== undefined;
}
