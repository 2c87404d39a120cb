import { createSupervisor } from '../built.ts';
import { temporaryFolder } from '../children.ts';
import { interleave, median, microseconds, type Row, times } from '../row.ts';

const WAITERS = 5_000;
const KEYS = 1_000;
const CONCURRENCY = 100;
const ROUNDS = 20;
/** Crowds a sample: each contender pays for its own garbage, and runs as compiled. */
const CROWDS = 10;

/** All slots held, 5,000 requests waiting, for five of each key; then the slots go from one to the next. */
export const row: Row = {
  name: 'slot, 5,000 waiters for 1,000 keys',
  target: '≤ 1.5 × without keys',
  async measure() {
    using folder = temporaryFolder();
    const pool = { concurrency: CONCURRENCY, perKey: { 'repo:*': 1 } };
    await using supervisor = createSupervisor({ stateDir: folder.path, pool });
    const crowd = async (keysOf: (at: number) => string[] | undefined): Promise<void> => {
      const holders = await Promise.all(
        Array.from({ length: CONCURRENCY }, (_, at) => supervisor.acquire({ keys: keysOf(at) })),
      );
      const waiters = Array.from({ length: WAITERS }, (_, at) =>
        supervisor.acquire({ keys: keysOf(at) }).then((lease) => lease.release()),
      );
      for (const holder of holders) holder.release();
      await Promise.all(waiters);
    };
    const { keys, none } = await interleave(
      ROUNDS,
      {
        keys: () => perWaiterMs(() => crowd((at) => [`repo:${at % KEYS}`])),
        none: () => perWaiterMs(() => crowd(() => undefined)),
      },
      { warmUp: 2 },
    );
    const ratio = median(keys) / median(none);
    return {
      figures: [
        { who: '1,000 keys', value: microseconds(median(keys)) },
        { who: 'no keys', value: microseconds(median(none)) },
      ],
      ratio: `${times(ratio)} without`,
      ok: ratio <= 1.5,
    };
  },
};

async function perWaiterMs(crowd: () => Promise<void>): Promise<number> {
  const beganMs = performance.now();
  for (let count = 0; count < CROWDS; count++) await crowd();
  return (performance.now() - beganMs) / (CROWDS * WAITERS);
}
