import { describe, expect } from 'vitest';
import { CAN_CONTAIN, GRACE_MS, it } from '../../../kit/containment.ts';
import { eventually, isAlive } from '../../../kit/process-table.ts';

describe.runIf(CAN_CONTAIN)('a host is SIGKILLed', () => {
  it('50 rounds in a row: nothing survives any of them', async ({ area }) => {
    for (let round = 1; round <= 50; round++) {
      const host = await area.readyHost();
      await host.growTree();
      const guardians = area.guardians();
      host.kill('SIGKILL');
      await host.exited;
      expect(await area.survivors(GRACE_MS), `round ${round}`).toEqual([]);
      await eventually(() => !guardians.some(isAlive));
    }
  });
});
