// Measures the descriptors that sampling holds open, in a process of its own.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** Most descriptors that a host may hold beyond those of its live children. */
export const MOST_DESCRIPTORS = 20;

export interface Measuring {
  readonly home: string;
  readonly marker: string;
  /** The number of children, ten a second on an idle machine. */
  readonly children: number;
}

/** Runs the host; `defaults` samples with pidusage's default options. */
export async function measureDescriptors(
  way: 'ours' | 'defaults',
  { home, marker, children }: Measuring,
): Promise<number> {
  const host = join(import.meta.dirname, 'sampling-host.ts');
  const args = [host, join(home, `state-${way}`), String(children), way, marker];
  const timeout = 60_000 + 1000 * children;
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout });
  return Number(stdout);
}
