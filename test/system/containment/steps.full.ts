import { describe, expect, test } from 'vitest';
import { CAN_CONTAIN } from '../../../kit/containment.ts';
import { CERTAIN_STEPS, dieEverywhere } from '../../../kit/deaths.ts';

describe.runIf(CAN_CONTAIN)('a host is SIGKILLed between any two steps of a spawn', () => {
  test('five rounds: nothing survives', async () => {
    for (let round = 1; round <= 5; round++) {
      const deaths = await dieEverywhere(() => true);
      expect([...deaths].filter(([, survivors]) => survivors.length > 0)).toEqual([]);
      expect([...deaths.keys()]).toEqual(expect.arrayContaining(CERTAIN_STEPS));
    }
  });
});
