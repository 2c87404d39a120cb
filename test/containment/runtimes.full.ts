import { describe, expect } from 'vitest';
import { CAN_CONTAIN, type ContainedHost, GRACE_MS, it } from '../support/containment.ts';
import { eventually, isAlive } from '../support/process-table.ts';
import { NO_RUNTIMES, type RuntimeName, runtime } from '../support/runtimes.ts';

const NAMES: readonly RuntimeName[] = ['node-22', 'node-26', 'bun-current'];
const RUNTIMES = await Promise.all(
  NAMES.map(async (name) => ({ name, binary: CAN_CONTAIN ? await runtime(name) : undefined })),
);
const DEATHS: readonly (readonly [string, (host: ContainedHost) => void])[] = [
  ...(['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGHUP', 'SIGSEGV', 'SIGABRT'] as const).map(
    (signal) => [signal, (host: ContainedHost) => host.kill(signal)] as const,
  ),
  ['process.exit', (host) => host.send({ do: 'die', how: 'exit' })],
  ['an uncaught throw', (host) => host.send({ do: 'die', how: 'throw' })],
  ['process.abort', (host) => host.send({ do: 'die', how: 'abort' })],
];

describe.skipIf(RUNTIMES[0]?.binary === undefined).for(RUNTIMES)(
  `under $name (${NO_RUNTIMES})`,
  ({ binary = '' }) => {
    it.for(DEATHS)(
      'a host dies by %s: nothing survives, nor does the guardian',
      async ([, die], { area }) => {
        const host = await area.readyHost({ runtime: binary });
        await host.growTree();
        const guardians = area.guardians();
        expect(guardians).toHaveLength(1);
        die(host);
        await host.exited;
        expect(await area.survivors(GRACE_MS)).toEqual([]);
        await eventually(() => !guardians.some(isAlive));
      },
    );

    it('a clean stop ends everything, the guardian too', async ({ area }) => {
      const host = await area.readyHost({ runtime: binary });
      await host.growTree();
      const guardians = area.guardians();
      await host.ask({ do: 'stop' });
      expect(area.tree()).toEqual([]);
      expect(area.files()).toEqual([]);
      await eventually(() => !guardians.some(isAlive));
    });
  },
);
