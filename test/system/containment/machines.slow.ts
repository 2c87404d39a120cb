// One state directory, and hosts whose processes the others cannot look up.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import {
  anotherKernel,
  CAN_PLAY_MACHINES,
  CONVERSATION,
  container,
  takeTurns,
} from '../../../kit/containers.ts';
import { it, SLEEPER, spawned } from '../../../kit/containment.ts';
import { eventually, isAlive, type ProcessRow } from '../../../kit/process-table.ts';

/** With a factor of 5 for a machine that is busy. */
const AT_ONCE_MS = 15_000;
const BUSY = { code: 'CONVERSATION_BUSY' };

describe.runIf(CAN_PLAY_MACHINES)('PID namespaces in turn, each killed', () => {
  it('everything that the dead one had locked works again at once', async ({ area }) => {
    const took = await takeTurns(area, 3);
    for (const ms of took) expect(ms).toBeLessThan(AT_ONCE_MS);
  });

  it('what is kept, and its conversation, ends with the namespace', async ({ area }) => {
    const first = await area.readyHost({ through: container('one') });
    await spawned(first, { ...CONVERSATION, outlivesHost: true });
    expect(await first.ask({ do: 'stop' })).toMatchObject({ done: 'stop' });
    first.kill('SIGKILL');
    await first.exited;
    area.park();
    const second = await area.readyHost({ through: container('two') });
    const { report } = await second.ask({ do: 'start' });
    expect(report).toMatchObject({ kept: [], unproven: [], forgotten: 1 });
    await spawned(second, CONVERSATION);
  });
});

describe.runIf(CAN_PLAY_MACHINES)(
  'what a host of an older version has left, without a heartbeat',
  () => {
    it('is read under another name of the machine: its agent ends, what it kept lives', async ({
      area,
    }) => {
      const first = await area.readyHost({ args: ['mute'], options: { guardian: false } });
      await spawned(first, CONVERSATION);
      const kept = await spawned(first, { ...SLEEPER, outlivesHost: true });
      first.kill('SIGKILL');
      await first.exited;
      const second = await area.readyHost({
        through: ['unshare', '--uts', 'sh', '-c', 'hostname other && exec "$@"', '-'],
      });
      const { report } = await second.ask({ do: 'start' });
      expect(report).toMatchObject({ ended: [{}], unproven: [], kept: [{ id: kept.id }] });
      await spawned(second, CONVERSATION);
      expect(await second.ask({ do: 'adopt', options: { id: kept.id } })).toHaveProperty('done');
    });
  },
);

describe.runIf(CAN_PLAY_MACHINES)('two live PID namespaces', () => {
  it('never take each other’s, and each goes on when the other is dead', async ({ area }) => {
    const [one, two] = await Promise.all([
      area.readyHost({ through: container('box') }),
      area.readyHost({ through: container('box') }),
    ]);
    await spawned(one, CONVERSATION);
    const isHost = ({ args }: ProcessRow) => args.some((arg) => arg.endsWith('contained.ts'));
    const [host] = area.tree().filter((row) => isHost(row) && area.childrenOf(row).length > 0);
    if (host === undefined) throw new Error('there is no host with an agent');
    expect(await two.ask({ do: 'spawn', request: CONVERSATION })).toMatchObject(BUSY);
    expect(await two.ask({ do: 'sweep' })).toMatchObject({
      report: { recovered: [], removed: [] },
    });
    // Stopped is not dead.
    process.kill(host.pid, 'SIGSTOP');
    expect(await two.ask({ do: 'sweep' })).toMatchObject({
      report: { recovered: [], removed: [] },
    });
    process.kill(host.pid, 'SIGCONT');
    expect(await one.ask({ do: 'list' })).toMatchObject({ report: [{ state: 'running' }] });
    one.kill('SIGKILL');
    await eventually(() => !isAlive(host));
    await spawned(two, CONVERSATION);
  });
});

describe.runIf(CAN_PLAY_MACHINES)('another kernel', () => {
  it('is given up when its heartbeat stands still, and not before', async ({ area }) => {
    const first = await area.readyHost({ through: anotherKernel(area), args: ['quick'] });
    await spawned(first, CONVERSATION);
    const second = await area.readyHost({ args: ['quick'] });
    expect(await second.ask({ do: 'spawn', request: CONVERSATION })).toMatchObject(BUSY);
    first.kill('SIGKILL');
    await first.exited;
    await spawned(second, CONVERSATION);
    const { report } = await second.ask({ do: 'sweep' });
    expect(report).toMatchObject({ unproven: [] });
  });

  it('that wakes ends what others may run by now, and writes nothing of it', async ({ area }) => {
    const first = await area.readyHost({ through: anotherKernel(area), args: ['quick'] });
    const agent = await spawned(first, CONVERSATION);
    const other = await spawned(first, { ...CONVERSATION, conversationId: undefined });
    const second = await area.readyHost({ args: ['quick'] });
    first.kill('SIGSTOP');
    await spawned(second, CONVERSATION);
    const claim = area.files().find((name) => name.startsWith('conversation-')) ?? '';
    const taken = readFileSync(join(area.stateDir, claim), 'utf8');
    first.kill('SIGCONT');
    const { report } = await first.ask({ do: 'exited', id: agent.id });
    expect(report).toMatchObject({ cause: 'duplicate' });
    expect(first.messages).toContainEqual(
      expect.objectContaining({ event: 'warning', code: 'GIVEN_UP' }),
    );
    expect(readFileSync(join(area.stateDir, claim), 'utf8')).toBe(taken);
    const history = area.history();
    expect(history.filter(({ id }) => id === agent.id).map(({ event }) => event)).toEqual([
      'started',
      'lost',
    ]);
    // What had locked nothing goes on, in a journal that is there again.
    expect(await first.ask({ do: 'list' })).toMatchObject({ report: [{ id: other.id }] });
    expect(await second.ask({ do: 'spawn', request: CONVERSATION })).toHaveProperty('done');
    expect(await first.ask({ do: 'spawn', request: CONVERSATION })).toMatchObject(BUSY);
  });

  it('that never shows a heartbeat is left alone', async ({ area }) => {
    const first = await area.readyHost({
      through: [...container('old'), ...anotherKernel(area)],
      args: ['mute'],
    });
    await spawned(first, CONVERSATION);
    first.kill('SIGKILL');
    await first.exited;
    const second = await area.readyHost({ args: ['quick'] });
    const answer = await second.ask({ do: 'spawn', request: CONVERSATION });
    expect(answer).toMatchObject(BUSY);
    expect(answer.error).toContain('recover --forget');
  });
});
