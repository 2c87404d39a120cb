import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DAEMON_ENTRY } from '../built.ts';
import { temporaryFolder } from '../children.ts';
import { interleave, median, microseconds, type Row, times } from '../row.ts';

const ROUNDS = 15;
const CALLS = 1_000;
const MAX_MS = 0.5;

const { validatePidFile, writePidFile } = (await import(
  DAEMON_ENTRY
)) as typeof import('../../src/daemon/index.ts');

/** The file of a live process: read, and the process looked up. */
export const row: Row = {
  name: 'validatePidFile',
  target: '≤ 0.5 ms on Linux',
  async measure() {
    using folder = temporaryFolder();
    const path = join(folder.path, 'bench.pid');
    await writePidFile(path, { name: 'bench', version: '1' });
    const { ours, bare, read } = await interleave(
      ROUNDS,
      {
        ours: () => perCall(() => validatePidFile(path)),
        bare: () =>
          perCall(async () => {
            const { pid } = JSON.parse(readFileSync(path, 'utf8'));
            process.kill(pid, 0);
          }),
        read: () => perCall(async () => void readFileSync(path, 'utf8')),
      },
      { warmUp: 2 },
    );
    return {
      figures: [
        { who: 'validatePidFile', value: microseconds(median(ours)) },
        { who: 'read, parse, kill(pid, 0)', value: microseconds(median(bare)) },
        { who: 'readFileSync', value: microseconds(median(read)) },
      ],
      ratio: `${times(median(ours) / median(read))} a bare read`,
      ok: median(ours) <= MAX_MS,
    };
  },
};

async function perCall(call: () => Promise<unknown>): Promise<number> {
  const beganMs = performance.now();
  for (let calls = 0; calls < CALLS; calls++) await call();
  return (performance.now() - beganMs) / CALLS;
}
