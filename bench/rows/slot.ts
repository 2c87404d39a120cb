import PQueue from 'p-queue';
import { createSupervisor } from '../built.ts';
import { temporaryFolder } from '../children.ts';
import { interleave, median, microseconds, type Row, times } from '../row.ts';

const WAITERS = 5_000;
const ROUNDS = 20;
/** Crowds a sample: each contender pays for its own garbage, and runs as compiled. */
const CROWDS = 10;

/** One slot held, 5,000 waiting; then the slot goes from one to the next. Per waiter, from its request on. */
export const row: Row = {
  name: 'slot, acquire + release, 5,000 waiters',
  target: '≤ 1.3 × a bare p-queue task',
  async measure() {
    using folder = temporaryFolder();
    await using supervisor = createSupervisor({ stateDir: folder.path, pool: { concurrency: 1 } });
    const queue = new PQueue({ concurrency: 1 });

    const slots = async (): Promise<void> => {
      const holder = await supervisor.acquire();
      const waiters = Array.from({ length: WAITERS }, () =>
        supervisor.acquire().then((lease) => lease.release()),
      );
      holder.release();
      await Promise.all(waiters);
    };
    const tasks = async (): Promise<void> => {
      const { promise, resolve } = Promise.withResolvers<void>();
      void queue.add(() => promise);
      const waiters = Array.from({ length: WAITERS }, () => queue.add(() => undefined));
      resolve();
      await Promise.all(waiters);
    };
    const { slot, task } = await interleave(
      ROUNDS,
      { slot: () => perWaiterMs(slots), task: () => perWaiterMs(tasks) },
      { warmUp: 2 },
    );
    const ratio = median(slot) / median(task);
    return {
      figures: [
        { who: 'slot', value: microseconds(median(slot)) },
        { who: 'p-queue task', value: microseconds(median(task)) },
      ],
      ratio: `${times(ratio)} p-queue`,
      ok: ratio <= 1.3,
    };
  },
};

async function perWaiterMs(crowd: () => Promise<void>): Promise<number> {
  const beganMs = performance.now();
  for (let count = 0; count < CROWDS; count++) await crowd();
  return (performance.now() - beganMs) / (CROWDS * WAITERS);
}
