import { describe, expect } from 'vitest';
import { CAN_CONTAIN, it } from '../../../kit/containment.ts';
import { allowedGapMs, sailCrew } from '../../../kit/crew.ts';

describe.runIf(CAN_CONTAIN)('twelve hosts that share three slots of a machine', () => {
  it('never run a fourth agent, and lose no slot for 2 s, while they are SIGKILLed for 60 s', async ({
    area,
  }) => {
    const size = { hosts: 12, limit: 3, forMs: 60_000, killEveryMs: 750 };
    const { peak, kills, warnings, longestGapMs, slowestLookMs, seen } = await sailCrew(area, size);
    const [gap, look] = [longestGapMs, slowestLookMs].map((ms) => `${Math.round(ms)} ms`);
    console.log(`${kills} kills, ${seen} trees, longest gap ${gap}, slowest look ${look}`);
    expect(peak).toHaveLength(size.limit);
    expect(kills).toBeGreaterThan(20);
    expect(warnings).toEqual([]);
    expect(longestGapMs).toBeLessThan(allowedGapMs(slowestLookMs));
  });
});
