import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { interleave, median, type Row } from '../row.ts';

const ROUNDS = 7;
const HOST = fileURLToPath(new URL('../hosts/heap.ts', import.meta.url));

const run = promisify(execFile);

async function bytesPerChild(way: string): Promise<number> {
  const { stdout } = await run(process.execPath, ['--expose-gc', HOST, way]);
  return Number(stdout);
}

export const row: Row = {
  name: 'heap of the host per live child',
  target: '≤ 10 KB above execa',
  async measure() {
    const { supervised, execa, bare } = await interleave(ROUNDS, {
      supervised: () => bytesPerChild('supervised'),
      execa: () => bytesPerChild('execa'),
      bare: () => bytesPerChild('bare'),
    });
    const more = median(supervised) - median(execa);
    return {
      figures: [
        { who: 'supervised', value: kilobytes(median(supervised)) },
        { who: 'execa', value: kilobytes(median(execa)) },
        { who: 'child_process.spawn', value: kilobytes(median(bare)) },
      ],
      ratio: `+ ${kilobytes(more)}`,
      ok: more <= 10 * 1024,
    };
  },
};

function kilobytes(bytes: number): string {
  return `${(bytes / 1024).toFixed(1)} KB`;
}
