import { expect, it } from 'vitest';
import { besideStrangers, CAN_MAKE_FEW_NUMBERS } from '../../../kit/few-numbers.ts';

const MINUTES = 10;

it.runIf(CAN_MAKE_FEW_NUMBERS)(
  `no stranger is signalled in ${MINUTES} minutes in which numbers come round all the time`,
  { timeout: (MINUTES + 2) * 60_000 },
  async () => {
    const { rounds, made, hit } = await besideStrangers(MINUTES * 60, 'proof');
    expect(rounds).toBeGreaterThan(MINUTES * 60);
    expect(made).toBeGreaterThan(MINUTES * 600);
    expect(hit).toBe(0);
  },
);
