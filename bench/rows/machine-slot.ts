import { createSupervisor } from '../built.ts';
import { temporaryFolder } from '../children.ts';
import { interleave, median, microseconds, type Row, times } from '../row.ts';

const SLOTS = 500;
const ROUNDS = 20;

/** One slot after another, taken and given back, with and without those of the machine. */
export const row: Row = {
  name: 'machine slot, acquire + release, uncontended',
  target: '≤ 1 ms',
  async measure() {
    using shared = temporaryFolder();
    using alone = temporaryFolder();
    await using sharing = createSupervisor({
      stateDir: shared.path,
      pool: { concurrency: 1, machineConcurrency: 3 },
    });
    await using own = createSupervisor({ stateDir: alone.path, pool: { concurrency: 1 } });
    const perSlotMs = async (supervisor: typeof own): Promise<number> => {
      const beganMs = performance.now();
      for (let count = 0; count < SLOTS; count++) (await supervisor.acquire()).release();
      return (performance.now() - beganMs) / SLOTS;
    };
    const { machine, host } = await interleave(
      ROUNDS,
      { machine: () => perSlotMs(sharing), host: () => perSlotMs(own) },
      { warmUp: 2 },
    );
    return {
      figures: [
        { who: 'slot of host and machine', value: microseconds(median(machine)) },
        { who: 'slot of the host alone', value: microseconds(median(host)) },
      ],
      ratio: `${times(median(machine) / median(host))} the host's alone`,
      ok: median(machine) <= 1,
    };
  },
};
