// A machine with so many pids that none is ever reused, for controls of proofs by pid.
import type { Os, PidSupply } from '../src/os/os.ts';

export const ENDLESS: PidSupply = { forks: 1, last: 2 ** 22, max: 2 ** 40, tasks: 2 ** 22 };

/** Makes an `Os` report such a machine. */
export function withEndlessNumbers(os: Os): Os {
  const supply = { before: ENDLESS, after: ENDLESS };
  return {
    ...os,
    pidSupply: { now: () => ENDLESS, recent: () => ENDLESS },
    processes: {
      ...os.processes,
      snapshot: async () => Object.assign(new Map(await os.processes.snapshot()), { supply }),
    },
  };
}
