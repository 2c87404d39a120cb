import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { median, type Row, times } from '../row.ts';

const ROUNDS = 3;
const HOST = fileURLToPath(new URL('../hosts/short.ts', import.meta.url));
const MB = 2 ** 20;

const run = promisify(execFile);

interface Growth {
  readonly rssBytes: number;
  readonly heapBytes: number;
}

async function growth(way: string): Promise<Growth> {
  const { stdout } = await run(process.execPath, ['--expose-gc', HOST, way]);
  return JSON.parse(stdout) as Growth;
}

export const row: Row = {
  name: 'memory of the host after 3,000 short processes',
  target: 'RSS ≤ 1.1 × execa, heap flat (≤ 2 MB)',
  async measure() {
    const ways = { supervised: [] as Growth[], execa: [] as Growth[], bare: [] as Growth[] };
    for (let round = 0; round < ROUNDS; round++)
      for (const [way, growths] of Object.entries(ways)) growths.push(await growth(way));
    const rss = (of: readonly Growth[]) => median(of.map(({ rssBytes }) => rssBytes));
    const heap = (of: readonly Growth[]) => median(of.map(({ heapBytes }) => heapBytes));
    const ratio = rss(ways.supervised) / rss(ways.execa);
    const show = (of: readonly Growth[]) =>
      `RSS + ${(rss(of) / MB).toFixed(1)} MB, heap + ${(heap(of) / MB).toFixed(2)} MB`;
    return {
      figures: [
        { who: 'supervised', value: show(ways.supervised) },
        { who: 'execa', value: show(ways.execa) },
        { who: 'child_process.spawn', value: show(ways.bare) },
      ],
      ratio: `RSS ${times(ratio)} execa, heap + ${(heap(ways.supervised) / MB).toFixed(2)} MB`,
      ok: ratio <= 1.1 && heap(ways.supervised) <= 2 * MB,
    };
  },
};
