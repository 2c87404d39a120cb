import { setTimeout as delay } from 'node:timers/promises';
import type { Limits } from '../../src/index.ts';
import { createSupervisor } from '../built.ts';
import { endGroup, spawnIdle, temporaryFolder } from '../children.ts';
import { probeLoop } from '../loop.ts';
import { median, milliseconds, type Row } from '../row.ts';

const CHILDREN = 100;
/** Idle ones; with the children and the machine's own there are about 1,000. */
const IDLE = 840;
const ROUNDS = 20;
/** A window holds one round of the sampler. */
const WINDOW_MS = 1000;

/** How long the sampler of the limits holds the event loop. The worst is what the thread itself worked: a busy machine takes it off for longer than any round lasts. */
export const row: Row = {
  name: 'limits, longest block of a sampling round, 100 of 1,000 processes',
  target: '≤ 10 ms',
  async measure() {
    const idle = await spawnIdle(IDLE);
    try {
      const { sampled, nothing } = await measureBoth();
      const worstMs = Math.max(...sampled.work);
      const byTheClock = (of: Blocks) =>
        `${milliseconds(Math.max(...of.block))} (median ${milliseconds(median(of.block))})`;
      return {
        figures: [
          { who: 'longest work of all', value: milliseconds(worstMs) },
          { who: 'of one round', value: milliseconds(median(sampled.work)) },
          { who: 'of all without limits', value: milliseconds(Math.max(...nothing.work)) },
          // With what the machine gave to others meanwhile.
          { who: 'longest block of all', value: byTheClock(sampled) },
          { who: 'of all without limits', value: byTheClock(nothing) },
        ],
        ratio: milliseconds(worstMs),
        ok: worstMs <= 10,
      };
    } finally {
      await endGroup(idle);
    }
  },
};

/** Of each round, in ms. */
interface Blocks {
  readonly block: number[];
  readonly work: number[];
}

async function measureBoth(): Promise<Record<'sampled' | 'nothing', Blocks>> {
  using folder = temporaryFolder();
  await using supervisor = createSupervisor({
    stateDir: folder.path,
    pool: { hardCap: CHILDREN },
    ladder: { stdinEofMs: 0 },
    sampling: { intervalMs: WINDOW_MS },
    sweep: { intervalMs: 3_600_000 },
  });
  await supervisor.start();
  const start = (limits: Limits) =>
    Array.from({ length: CHILDREN }, () =>
      supervisor.spawn({ command: 'sleep', args: ['120'], kind: 'tool', limits }),
    );
  const end = (children: ReturnType<typeof start>) =>
    Promise.all(children.map((child) => child.terminate()));
  // One after the other: the limited ones are sampled for as long as they live.
  const watched = start({ idleMs: 3_600_000, memoryBytes: 2 ** 40 });
  const sampled = await blocks();
  await end(watched);
  const free = start({});
  const nothing = await blocks();
  await end(free);
  return { sampled, nothing };
}

async function blocks(): Promise<Blocks> {
  const blocks: Blocks = { block: [], work: [] };
  // Their start, and the first round, which loads what it needs.
  await delay(3 * WINDOW_MS);
  for (let round = 0; round < ROUNDS; round++) {
    globalThis.gc?.({ type: 'minor' });
    const probe = probeLoop();
    await delay(WINDOW_MS);
    blocks.block.push(await probe.longestBlockMs());
    blocks.work.push(probe.longestWorkMs());
  }
  return blocks;
}
