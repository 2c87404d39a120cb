// What sampling holds open, measured in a process of its own.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** How many descriptors more than its live children need a host may have. */
export const MOST_DESCRIPTORS = 20;

export interface Measuring {
  readonly home: string;
  readonly marker: string;
  /** So many, ten a second on a machine that has the time. */
  readonly children: number;
}

/** Runs the host; `defaults` samples with pidusage as it is without options. */
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
