import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { MAIN_ENTRY } from '../built.ts';
import { interleave, median, milliseconds, type Row } from '../row.ts';

const ROUNDS = 25;
const HOST = fileURLToPath(new URL('../hosts/import.ts', import.meta.url));

const run = promisify(execFile);

/** The time that a fresh process needs for its imports, without its own start. */
async function importing(...specifiers: string[]): Promise<number> {
  // No compile cache: a host's first start has none.
  const { NODE_COMPILE_CACHE: _, ...env } = process.env;
  const { stdout } = await run(process.execPath, [HOST, ...specifiers], { env });
  return Number(stdout);
}

export const row: Row = {
  name: 'importing the main entry',
  target: '≤ 0.4 × zod + p-queue',
  async measure() {
    const peers = [import.meta.resolve('zod'), import.meta.resolve('p-queue')];
    const { ours, theirs } = await interleave(
      ROUNDS,
      { ours: () => importing(MAIN_ENTRY), theirs: () => importing(...peers) },
      { warmUp: 2 },
    );
    const ratio = median(ours) / median(theirs);
    return {
      figures: [
        { who: 'agent-supervisor', value: milliseconds(median(ours)) },
        { who: 'zod + p-queue', value: milliseconds(median(theirs)) },
      ],
      ratio: `${ratio.toFixed(2)} ×`,
      ok: ratio <= 0.4,
    };
  },
};
