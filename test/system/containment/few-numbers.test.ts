// A group whose leader is dead has a number that others get sooner or later: here, at once.
import { describe, expect, it } from 'vitest';
import { besideStrangers, CAN_MAKE_FEW_NUMBERS } from '../../../kit/few-numbers.ts';

describe.runIf(CAN_MAKE_FEW_NUMBERS)('where numbers come round many times a second', () => {
  it('no stranger is signalled', { timeout: 60_000 }, async () => {
    const { rounds, made, hit } = await besideStrangers(20, 'proof');
    expect(rounds).toBeGreaterThan(20);
    expect(made).toBeGreaterThan(200);
    expect(hit).toBe(0);
  });

  it('negative control: strangers are, where numbers prove a group for ever', {
    timeout: 120_000,
  }, async () => {
    const { hit } = await besideStrangers(60, 'no-proof');
    expect(hit).toBeGreaterThan(0);
  });
});
