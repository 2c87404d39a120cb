import { setTimeout as delay } from 'node:timers/promises';
import { forgeJournal, recordOf } from '../../kit/forged-journal.ts';
import { createSupervisor } from '../built.ts';
import { endGroup, spawnIdle, temporaryFolder } from '../children.ts';
import { probeLoop } from '../loop.ts';
import { interleave, median, milliseconds, type Row } from '../row.ts';

/** Idle ones; with the machine's own there are about 1,000. */
const IDLE = 940;
const JOURNALS = 5;
const RECORDS = 10_000;
const ROUNDS = 10;
/** About as long as a sweep takes. */
const IDLE_MS = 600;

/** What a sweep finds after a bad night: the records of many processes that are gone. */
export const row: Row = {
  name: 'sweep, longest block of the event loop, 1,000 processes, 10,000 records of dead hosts',
  target: '≤ 20 ms',
  async measure() {
    using folder = temporaryFolder();
    await using supervisor = createSupervisor({ stateDir: folder.path, guardian: false });
    await supervisor.start();
    const idle = await spawnIdle(IDLE);
    const sweepsMs: number[] = [];
    try {
      const { sweep, nothing } = await interleave(
        ROUNDS,
        {
          sweep() {
            forgeJournals(folder.path);
            return blockMs(async () => {
              const { recovered, forgotten, durationMs } = await supervisor.sweep();
              if (recovered.length !== JOURNALS || forgotten !== RECORDS)
                throw new Error(`${forgotten} records of ${recovered.length} hosts forgotten`);
              sweepsMs.push(durationMs);
            });
          },
          // What the machine itself does to a loop that has nothing to do.
          nothing: () => blockMs(() => delay(IDLE_MS)),
        },
        { warmUp: 1 },
      );
      const worstMs = Math.max(...sweep);
      return {
        figures: [
          { who: 'longest block of all', value: milliseconds(worstMs) },
          { who: 'of one sweep', value: milliseconds(median(sweep)) },
          { who: 'of all with an idle loop', value: milliseconds(Math.max(...nothing)) },
          { who: 'sweep', value: milliseconds(median(sweepsMs)) },
        ],
        ratio: milliseconds(worstMs),
        ok: worstMs <= 20,
      };
    } finally {
      await endGroup(idle);
    }
  },
};

async function blockMs(work: () => Promise<unknown>): Promise<number> {
  const probe = probeLoop();
  await work();
  return probe.longestBlockMs();
}

/** Nobody has had these start times: whoever has the numbers now is someone else. */
function forgeJournals(stateDir: string): void {
  for (let journal = 0; journal < JOURNALS; journal++) {
    const records = Array.from({ length: RECORDS / JOURNALS }, (_, index) => ({
      ...recordOf({ pid: 2 + index, startTime: '1' }, `r${index}`),
      cwd: '/home/user/projects/a-project',
      sessionId: `session-${index}`,
    }));
    forgeJournal(stateDir, { owner: { instance: `DeadOwnerOfBench${journal}` }, records });
  }
}
