import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { MAIN_ENTRY } from '../built.ts';
import { interleave, median, milliseconds, type Row } from '../row.ts';

const ROUNDS = 25;
const HOST = fileURLToPath(new URL('../hosts/first-launch.ts', import.meta.url));

const run = promisify(execFile);

/** The time that a fresh process needs until its first child is there, without its own start. */
async function launching(...args: string[]): Promise<number> {
  // No compile cache: a host's first start has none.
  const { NODE_COMPILE_CACHE: _, ...env } = process.env;
  const { stdout } = await run(process.execPath, [HOST, ...args], { env });
  return Number(stdout);
}

export const row: Row = {
  name: 'importing the main entry, and its first launch, guardian included',
  target: '≤ 0.5 × zod + p-queue + execa',
  async measure() {
    const peers = ['zod', 'p-queue', 'execa'].map((name) => import.meta.resolve(name));
    const stateDir = mkdtempSync(join(tmpdir(), 'agent-supervisor-bench-'));
    try {
      const { ours, theirs } = await interleave(
        ROUNDS,
        {
          ours: () => launching('ours', MAIN_ENTRY, stateDir),
          theirs: () => launching('theirs', ...peers),
        },
        { warmUp: 2 },
      );
      const ratio = median(ours) / median(theirs);
      return {
        figures: [
          { who: 'agent-supervisor', value: milliseconds(median(ours)) },
          { who: 'zod + p-queue + execa', value: milliseconds(median(theirs)) },
        ],
        ratio: `${ratio.toFixed(2)} ×`,
        ok: ratio <= 0.5,
      };
    } finally {
      rmSync(stateDir, { recursive: true, force: true });
    }
  },
};
