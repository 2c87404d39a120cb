import { describe } from 'vitest';
import { CAN_CONTAIN, it } from '../../../kit/containment.ts';
import { sailFleet } from '../../../kit/fleet.ts';

describe.runIf(CAN_CONTAIN)('a large fleet of hosts on one state directory', () => {
  it('loses, doubles and hurts nothing', async ({ area }) => {
    await sailFleet(area, { hosts: 60, processes: 50, atOnce: 4 });
  });
});
