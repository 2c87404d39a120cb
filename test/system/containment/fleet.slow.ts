import { describe, expect } from 'vitest';
import { CAN_CONTAIN, it } from '../../../kit/containment.ts';
import { sailFleet } from '../../../kit/fleet.ts';

describe.runIf(CAN_CONTAIN)('a fleet of hosts on one state directory', () => {
  it('loses, doubles and hurts nothing while hosts start, stop and are SIGKILLed', async ({
    area,
  }) => {
    await sailFleet(area, { hosts: 6, processes: 5, atOnce: 3 });
  });

  it('without guardians a SIGKILLed ship leaves its processes (control)', async ({ area }) => {
    const host = area.host({
      script: 'contained-fleet.ts',
      args: ['5', 'wait'],
      options: { guardian: false },
    });
    await host.next(({ event }) => event === 'full');
    host.kill('SIGKILL');
    await host.exited;
    expect(await area.survivors(500)).toHaveLength(5);
    await area.endAll();
  });
});
