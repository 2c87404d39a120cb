import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Row, times } from '../row.ts';

/** No host may take longer: on a busy machine 3,000 processes take minutes. */
const TIMEOUT_MS = 300_000;
const HOST = fileURLToPath(new URL('../hosts/short.ts', import.meta.url));
const MB = 2 ** 20;

const run = promisify(execFile);

interface Growth {
  readonly rssBytes: number;
  readonly heapBytes: number;
}

async function growth(way: string): Promise<Growth> {
  const { stdout } = await run(process.execPath, ['--expose-gc', HOST, way], {
    timeout: TIMEOUT_MS,
  });
  return JSON.parse(stdout) as Growth;
}

export const row: Row = {
  name: 'memory of the host after 3,000 short processes',
  target: 'RSS ≤ 1.1 × execa, heap flat (≤ 2 MB)',
  async measure() {
    const bare = await growth('bare');
    const execa = await growth('execa');
    const supervised = await growth('supervised');
    const ratio = supervised.rssBytes / execa.rssBytes;
    return {
      figures: [
        { who: 'supervised', value: show(supervised) },
        { who: 'execa', value: show(execa) },
        { who: 'child_process.spawn', value: show(bare) },
      ],
      ratio: `RSS ${times(ratio)} execa, heap ${signed(supervised.heapBytes)}`,
      ok: ratio <= 1.1 && supervised.heapBytes <= 2 * MB,
    };
  },
};

function show({ rssBytes, heapBytes }: Growth): string {
  return `RSS ${signed(rssBytes)}, heap ${signed(heapBytes)}`;
}

function signed(bytes: number): string {
  return `${bytes < 0 ? '-' : '+'} ${(Math.abs(bytes) / MB).toFixed(1)} MB`;
}
