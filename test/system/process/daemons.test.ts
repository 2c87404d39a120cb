// Daemons that are forked, or become another program, in the moment in which their parent dies.
import { describe, expect } from 'vitest';
import { findByMarker } from '../../../kit/process-table.ts';
import { MARKER } from '../../../kit/scenarios.ts';
import { CAN_WATCH, it } from '../../../kit/supervised.ts';

/** One look at the process table missed four of ten double forks, and one of a hundred of the others. */
const TIMES = 30;

const SCRIPTS = [
  '(setsid sleep 300 &)',
  "setsid sh -c 'sleep 300 & exec sleep 300' &",
  "(setsid sh -c 'sleep 300 &' &)",
];

describe.runIf(CAN_WATCH)('a parent dies as it starts', () => {
  it.for(SCRIPTS)('%s', async (script, { marker, supervise }) => {
    const supervisor = supervise();
    const env = { PATH: process.env['PATH'], [MARKER]: marker };
    for (let time = 1; time <= TIMES; time++) {
      const parent = supervisor.spawn({
        kind: 'tool',
        command: '/bin/sh',
        args: ['-c', script],
        env,
      });
      expect((await parent.exited).leftovers).not.toEqual([]);
      expect(findByMarker(MARKER, marker)).toEqual([]);
    }
  });
});
