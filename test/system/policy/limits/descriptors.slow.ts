import { expect } from 'vitest';
import { MOST_DESCRIPTORS, measureDescriptors } from '../../../../kit/sampling.ts';
import { CAN_WATCH, it } from '../../../../kit/supervised.ts';

const LONG = { timeout: 200_000 };
const children = 120;

it.runIf(CAN_WATCH)(
  'sampling short-lived children leaks no descriptor',
  LONG,
  async ({ home, marker }) => {
    const most = await measureDescriptors('ours', { home, marker, children });
    expect(most).toBeLessThan(MOST_DESCRIPTORS);
  },
);

it.runIf(CAN_WATCH)(
  'sampling them with pidusage leaks one for each that exited',
  LONG,
  async ({ home, marker }) => {
    const most = await measureDescriptors('defaults', { home, marker, children });
    expect(most).toBeGreaterThan(MOST_DESCRIPTORS);
  },
);
