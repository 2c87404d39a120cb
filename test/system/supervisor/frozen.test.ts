// Four seconds in which a host stands still, in the steps of a process's life; frozen.full.ts has them all.
import { describe, vi } from 'vitest';
import { FREEZES, freezeIn } from '../../../kit/frozen.ts';
import { CAN_WATCH, it } from '../../../kit/supervised.ts';

vi.setConfig({ maxConcurrency: 4 });

const STEPS = [
  'startup',
  'idle',
  'all of it',
  'SIGTERM',
  'stop that lets finish',
  'slot',
  'daemon',
];
const steps = FREEZES.filter(([step]) => [...STEPS, 'session'].includes(step));

describe.runIf(CAN_WATCH)(
  'a host that stands still uses nothing up of',
  { concurrent: true },
  () => {
    it.for(steps)('%s', async ([step, check], { home, marker }) => {
      check(await freezeIn(step, { folder: home, marker, freezeMs: 4000 }));
    });
  },
);
