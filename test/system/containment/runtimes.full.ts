import { describe, expect } from 'vitest';
import {
  CAN_CONTAIN,
  CONTAINMENT_MARKER,
  type ContainedHost,
  findGuardians,
  GRACE_MS,
  it,
} from '../../../kit/containment.ts';
import { CERTAIN_STEPS, dieEverywhere } from '../../../kit/deaths.ts';
import { eventually, isAlive } from '../../../kit/process-table.ts';
import { NO_RUNTIMES, type RuntimeName, runtime } from '../../../kit/runtimes.ts';

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
  ({ name, binary = '' }) => {
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

    // Bun knows no bound for its memory.
    it.skipIf(name.startsWith('bun'))(
      'a host dies by running out of memory: nothing survives',
      async ({ area }) => {
        const host = await area.readyHost({ runtime: binary, flags: ['--max-old-space-size=32'] });
        await host.growTree();
        host.send({ do: 'die', how: 'out-of-memory' });
        expect(await host.exited).toMatchObject({ signal: 'SIGABRT' });
        expect(await area.survivors(GRACE_MS)).toEqual([]);
      },
    );

    it('a host dies between any two steps of a spawn: nothing survives', async () => {
      const deaths = await dieEverywhere(() => true, { runtime: binary });
      expect([...deaths].filter(([, survivors]) => survivors.length > 0)).toEqual([]);
      // What a module has imported from node:fs stays what it was under Bun.
      const isSeen = (step: string) => name !== 'bun-current' || !step.includes('journal');
      expect([...deaths.keys()]).toEqual(expect.arrayContaining(CERTAIN_STEPS.filter(isSeen)));
    });

    it('a clean stop ends everything, the guardian too', async ({ area }) => {
      const host = await area.readyHost({ runtime: binary });
      await host.growTree();
      const guardians = area.guardians();
      await host.ask({ do: 'stop' });
      expect(area.tree()).toEqual([]);
      expect(area.files()).toEqual([]);
      await eventually(() => !guardians.some(isAlive));
      expect(host.messages.filter(({ event }) => event === 'warning')).toEqual([]);
    });

    it('the guardian is told of groups that no cookie leads to', async ({ area }) => {
      const host = await area.readyHost({ runtime: binary });
      const args = ['-c', `echo ready; exec env -i ${CONTAINMENT_MARKER}=${area.marker} sleep 300`];
      await host.ask({ do: 'spawn', request: { command: 'sh', args } });
      await eventually(() => area.tree()[0]?.args[0] === 'sleep');
      host.kill('SIGKILL');
      expect(await area.survivors(GRACE_MS)).toEqual([]);
    });

    it('the guardian keeps no finished host alive', async ({ area }) => {
      const host = area.host({ script: 'contained-idle.ts', runtime: binary });
      await host.next(({ event }) => event === 'started');
      const owners = area.owners();
      expect(await host.exited).toEqual({ code: 0, signal: null });
      await eventually(() => findGuardians(owners).length === 0);
    });
  },
);
