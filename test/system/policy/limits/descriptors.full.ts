import { expect } from 'vitest';
import { MOST_DESCRIPTORS, measureDescriptors } from '../../../../kit/sampling.ts';
import { CAN_WATCH, it } from '../../../../kit/supervised.ts';

// Three minutes, if the machine keeps up.
const children = 1800;

it.runIf(CAN_WATCH)(
  'sampling short-lived children for three minutes leaks no descriptor',
  { timeout: 1_800_000 },
  async ({ home, marker }) => {
    const most = await measureDescriptors('ours', { home, marker, children });
    console.info(`at most ${most} descriptors more than the live ones need`);
    expect(most).toBeLessThan(MOST_DESCRIPTORS);
  },
);
