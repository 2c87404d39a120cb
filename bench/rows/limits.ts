import { setTimeout as delay } from 'node:timers/promises';
import type { Limits } from '../../src/index.ts';
import { createSupervisor } from '../built.ts';
import { temporaryFolder } from '../children.ts';
import { interleave, median, type Row } from '../row.ts';

const CHILDREN = 100;
const ROUNDS = 3;
/** Some rounds of the sampler, at its own pace. */
const WINDOW_MS = 15_000;

/** All of them, and so far away that none acts. */
const ALL: Limits = {
  startupMs: 3_600_000,
  idleMs: 3_600_000,
  memoryBytes: 2 ** 40,
  lifetimeMs: 3_600_000,
};

/** What the host itself uses, all of its threads, while its children do nothing. */
export const row: Row = {
  name: 'limits, 100 live processes, CPU of the host',
  target: '≤ 1 % of a core over none',
  async measure() {
    const { on, off, alone } = await interleave(ROUNDS, {
      on: () => supervised(ALL),
      off: () => supervised({}),
      // What the measuring costs.
      alone: cpuPercent,
    });
    const more = median(on) - median(off);
    return {
      figures: [
        { who: 'all four on', value: percent(median(on)) },
        { who: 'all off', value: percent(median(off)) },
        { who: 'no children at all', value: percent(median(alone)) },
      ],
      ratio: `+ ${percent(more)} of one core`,
      ok: more <= 1,
    };
  },
};

async function supervised(limits: Limits): Promise<number> {
  using folder = temporaryFolder();
  await using supervisor = createSupervisor({
    stateDir: folder.path,
    pool: { hardCap: CHILDREN },
    ladder: { stdinEofMs: 0 },
  });
  await supervisor.start();
  const request = { command: 'sleep', args: ['120'], kind: 'tool', limits };
  for (let child = 0; child < CHILDREN; child++) supervisor.spawn(request);
  // The first round loads what it needs.
  await delay(6000);
  // Not before the supervisor is stopped.
  return await cpuPercent();
}

async function cpuPercent(): Promise<number> {
  const began = process.cpuUsage();
  const beganMs = performance.now();
  await delay(WINDOW_MS);
  const { user, system } = process.cpuUsage(began);
  return ((user + system) / 1000 / (performance.now() - beganMs)) * 100;
}

function percent(value: number): string {
  return `${value.toFixed(2)} %`;
}
