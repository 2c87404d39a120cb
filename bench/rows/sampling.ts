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

/** How long the sampler of the limits holds the event loop. */
export const row: Row = {
  name: 'limits, longest block of a sampling round, 100 of 1,000 processes',
  target: '≤ 10 ms',
  async measure() {
    const idle = await spawnIdle(IDLE);
    try {
      const samples = await measureBoth();
      const worstMs = Math.max(...samples.sampled);
      return {
        figures: [
          { who: 'longest block of all', value: milliseconds(worstMs) },
          { who: 'of one round', value: milliseconds(median(samples.sampled)) },
          { who: 'of all without limits', value: milliseconds(Math.max(...samples.nothing)) },
        ],
        ratio: milliseconds(worstMs),
        ok: worstMs <= 10,
      };
    } finally {
      await endGroup(idle);
    }
  },
};

async function measureBoth(): Promise<Record<'sampled' | 'nothing', number[]>> {
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
  const sampled: number[] = [];
  const nothing: number[] = [];
  // One after the other: the limited ones are there for as long as somebody samples.
  const limited = start({ idleMs: 3_600_000, memoryBytes: 2 ** 40 });
  await delay(2 * WINDOW_MS);
  for (let round = 0; round < ROUNDS; round++) sampled.push(await blockMs());
  await end(limited);
  const free = start({});
  await delay(2 * WINDOW_MS);
  for (let round = 0; round < ROUNDS; round++) nothing.push(await blockMs());
  await end(free);
  return { sampled, nothing };
}

async function blockMs(): Promise<number> {
  const probe = probeLoop();
  await delay(WINDOW_MS);
  return probe.longestBlockMs();
}
