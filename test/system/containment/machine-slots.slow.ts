import { describe, expect } from 'vitest';
import { CAN_CONTAIN, it } from '../../../kit/containment.ts';
import { sailCrew } from '../../../kit/crew.ts';

describe.runIf(CAN_CONTAIN)('twelve hosts that share three slots of a machine', () => {
  it('never run a fourth agent, and lose no slot, while they are SIGKILLed for 10 s', async ({
    area,
  }) => {
    const size = { hosts: 12, limit: 3, forMs: 10_000, killEveryMs: 500 };
    const { peak, kills, warnings, longestGapMs } = await sailCrew(area, size);
    expect(peak).toHaveLength(size.limit);
    expect(kills).toBeGreaterThan(5);
    expect(warnings).toEqual([]);
    expect(longestGapMs).toBeLessThan(10_000);
  });
});
