import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { family, temporaryFolder, untilDead } from '../children.ts';
import { interleave, median, milliseconds, type Row } from '../row.ts';

const HOST = fileURLToPath(new URL('../hosts/killed.ts', import.meta.url));
const ROUNDS = 25;
/** A leader, ten children in its group and one in a session of its own. */
const PROCESSES = 12;
/** By then host, tree and guardian wait, as they do in practice. */
const SETTLE_MS = 150;

/** From the SIGKILL to the last death, as observed in the process table. */
export const row: Row = {
  name: 'host SIGKILL to the last death of a polite tree',
  target: '≤ 50 ms',
  async measure() {
    using folder = temporaryFolder();
    const { ours, floor } = await interleave(
      ROUNDS,
      {
        ours: () => deathMs('supervised', folder.path),
        floor: () => deathMs('bare', folder.path),
      },
      { warmUp: 2 },
    );
    const tookMs = median(ours);
    return {
      figures: [
        { who: 'the guardian', value: milliseconds(tookMs) },
        { who: 'a shell told of all groups', value: milliseconds(median(floor)) },
      ],
      ratio: `+ ${milliseconds(tookMs - median(floor))}, worst of all ${milliseconds(Math.max(...ours))}`,
      ok: tookMs <= 50,
    };
  },
};

async function deathMs(way: 'supervised' | 'bare', stateDir: string): Promise<number> {
  const host = spawn(process.execPath, [HOST, way, stateDir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(host, 'exit');
  const [leader] = (await once(host.stdout, 'data')) as [Buffer];
  const pids = family(Number(leader));
  if (pids.length !== PROCESSES) throw new Error(`${pids.length} processes, not ${PROCESSES}`);
  await delay(SETTLE_MS);
  const beganMs = performance.now();
  host.kill('SIGKILL');
  await untilDead(pids);
  const tookMs = performance.now() - beganMs;
  await exited;
  return tookMs;
}
