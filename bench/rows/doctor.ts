import pidusage from 'pidusage';
import { systemOs } from '../../src/os/system.ts';
import { createSupervisor, doctor } from '../built.ts';
import { temporaryFolder } from '../children.ts';
import { probeLoop } from '../loop.ts';
import { interleave, median, milliseconds, type Row } from '../row.ts';

const RECORDS = 1000;
const SESSIONS = 50;
const ROUNDS = 20;
const [TARGET_MS, TARGET_BLOCK_MS] = [150, 20];

/** A doctor's whole report on living processes, beside the two looks that nobody can do without. */
export const row: Row = {
  name: 'doctor, 1,000 live records',
  target: `≤ ${TARGET_MS} ms, block ≤ ${TARGET_BLOCK_MS} ms`,
  async measure() {
    using folder = temporaryFolder();
    await using supervisor = createSupervisor({
      stateDir: folder.path,
      pool: { hardCap: RECORDS },
      ladder: { stdinEofMs: 0 },
      sweep: { intervalMs: 3_600_000 },
    });
    await supervisor.start();
    const request = { command: 'sleep', args: ['120'], kind: 'tool' };
    for (let n = 0; n < RECORDS; n++) {
      await supervisor.spawn({ ...request, sessionId: n % SESSIONS }).started;
    }
    const pids = supervisor.list().map(({ pid }) => pid);
    const blocksMs: number[] = [];
    const worksMs: number[] = [];
    const samples = await interleave(
      ROUNDS,
      {
        doctor: () =>
          timed(async () => {
            const probe = probeLoop();
            await doctor(supervisor);
            blocksMs.push(await probe.longestBlockMs());
            worksMs.push(probe.longestWorkMs());
          }),
        look: () => timed(() => systemOs().processes.snapshot()),
        pidusage: () => timed(() => pidusage(pids)),
      },
      { warmUp: 3 },
    );
    const [tookMs, worstMs] = [median(samples.doctor), Math.max(...worksMs.slice(-ROUNDS))];
    return {
      figures: [
        { who: 'doctor', value: milliseconds(tookMs) },
        { who: 'longest work of all', value: milliseconds(worstMs) },
        { who: 'longest block of all', value: milliseconds(Math.max(...blocksMs.slice(-ROUNDS))) },
        { who: 'a look at the process table', value: milliseconds(median(samples.look)) },
        { who: 'pidusage of the same', value: milliseconds(median(samples.pidusage)) },
      ],
      ratio: `${milliseconds(tookMs)}, ${milliseconds(worstMs)}`,
      ok: tookMs <= TARGET_MS && worstMs <= TARGET_BLOCK_MS,
    };
  },
};

async function timed(work: () => Promise<unknown>): Promise<number> {
  const beganMs = performance.now();
  await work();
  return performance.now() - beganMs;
}
