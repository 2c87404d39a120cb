import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const FIXTURES = join(import.meta.dirname, '../test/fixtures');

/** `true` if C programs can be compiled here; required on CI. */
export const CAN_COMPILE = spawnSync('gcc', ['--version'], { stdio: 'ignore' }).status === 0;
if (!CAN_COMPILE) {
  if (process.env['CI']) throw new Error('gcc is missing: apt-get install gcc');
  console.warn('left out: no gcc to compile test programs with');
}

/** Compiles a program of test/fixtures into a folder, and returns its path. */
export function compile(name: string, folder: string): string {
  const path = join(folder, name);
  const source = join(FIXTURES, `${name}.c`);
  const { status, stderr } = spawnSync('gcc', ['-O1', '-Wall', '-o', path, source]);
  if (status !== 0) throw new Error(`${source} cannot be compiled: ${stderr}`);
  return path;
}
