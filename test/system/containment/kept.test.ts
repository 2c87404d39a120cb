// What is meant to outlive its host does, whatever ends that, and is nobody's until it is adopted.
import { describe, expect } from 'vitest';
import {
  CAN_CONTAIN,
  type ContainedHost,
  endAndConfirm,
  GRACE_MS,
  it,
  SLEEPER,
} from '../../../kit/containment.ts';
import { DEAD_OWNER, forgeJournal, recordOf } from '../../../kit/forged-journal.ts';
import { environmentOf, eventually, isAlive, type ProcessRow } from '../../../kit/process-table.ts';
import type { KeptProcess, SpawnRequest } from '../../../src/index.ts';

/** A process with a child in a session of its own; neither has a stream to say that it runs. */
const DAEMON: SpawnRequest = {
  command: 'sh',
  args: ['-c', 'ROLE=child setsid sleep 300 & export ROLE=daemon; exec sleep 300'],
  kind: 'daemon',
  sessionId: 's1',
  outlivesHost: true,
};

interface Daemon {
  readonly id: string;
  readonly leader: ProcessRow;
  readonly child: ProcessRow;
}

async function startDaemon(host: ContainedHost): Promise<Daemon> {
  const { id, pid } = (await host.ask({ do: 'spawn', request: DAEMON })) as unknown as Daemon & {
    pid: number;
  };
  const rows = await eventually(() => {
    const found = host.area.tree().filter(({ args }) => args[0] === 'sleep');
    const leader = found.find((row) => row.pid === pid);
    const child = found.find((row) => environmentOf(row).includes('ROLE=child'));
    return leader && child && { leader, child };
  });
  return { id, ...rows };
}

const kept = (message: { readonly [key: string]: unknown }) =>
  (message['report'] as { kept: KeptProcess[] }).kept;

describe.runIf(CAN_CONTAIN)('a process that outlives its host', () => {
  it.for(['SIGKILL', 'SIGTERM'] as const)(
    'lives on when %s ends the host, and the next one lists it',
    async (signal, { area }) => {
      const host = await area.readyHost();
      const { id, leader, child } = await startDaemon(host);
      await host.ask({ do: 'spawn', request: SLEEPER });
      const guardians = area.guardians();
      expect(guardians).toHaveLength(1);
      host.kill(signal);
      await host.exited;
      // Everything else of the host is ended, and those who ended it are gone.
      await eventually(() => area.tree().length === 2 && !guardians.some(isAlive), {
        timeoutMs: GRACE_MS,
      });
      expect([leader, child].map(isAlive)).toEqual([true, true]);

      const next = await area.readyHost();
      const start = await next.ask({ do: 'start' });
      expect(kept(start)).toMatchObject([
        { id, pid: leader.pid, kind: 'daemon', sessionId: 's1', command: 'sh' },
      ]);
      expect(start['report']).toMatchObject({ ended: [], orphans: [], unproven: [] });
      expect([leader, child].map(isAlive)).toEqual([true, true]);

      // It is listed as long as anything of it lives, then forgotten.
      await endAndConfirm([leader]);
      expect(kept(await next.ask({ do: 'sweep' }))).toMatchObject([{ id }]);
      await endAndConfirm([child]);
      const swept = await next.ask({ do: 'sweep' });
      expect(kept(swept)).toEqual([]);
      expect(swept['report']).toMatchObject({ forgotten: 1 });
      await next.ask({ do: 'stop' });
      // Nothing of the process; its session is remembered.
      expect(area.files()).toEqual([expect.stringMatching(/^session-/)]);
    },
  );

  it('lives on after stop, keeps no host alive, and takes no room under the hard cap', async ({
    area,
  }) => {
    const host = await area.readyHost({ options: { pool: { concurrency: 1, hardCap: 1 } } });
    const { leader, child } = await startDaemon(host);
    await host.ask({ do: 'spawn', request: SLEEPER });
    expect(await host.ask({ do: 'stop' })).toMatchObject({
      report: { ended: [{ kind: 'tool' }], survivors: [] },
    });
    expect([leader, child].map(isAlive)).toEqual([true, true]);
    host.child.stdin?.end();
    expect(await host.exited).toEqual({ code: 0, signal: null });
    expect(
      area
        .tree()
        .map(({ pid }) => pid)
        .sort(),
    ).toEqual([leader.pid, child.pid].sort());
    await endAndConfirm([leader, child]);
  });

  it.for(['terminate', 'reap'] as const)('is ended with its tree by %s', async (how, { area }) => {
    const host = await area.readyHost();
    const { id } = await startDaemon(host);
    expect(area.files().some((name) => name.startsWith('kept-'))).toBe(true);
    const end = await host.ask(
      how === 'reap' ? { do: 'reap', sessionId: 's1' } : { do: 'terminate', id },
    );
    expect(end).toMatchObject({ report: { ended: [{ id }], survivors: [] } });
    expect(area.tree()).toEqual([]);
    expect(area.files().filter((name) => name.startsWith('kept-'))).toEqual([]);
  });

  it('is left alone where its start time was never known, and so is its file', async ({ area }) => {
    const canary = area.canary();
    const name = `kept-${DEAD_OWNER.instance}.r1.jsonl`;
    const { startTime: _, ...record } = { ...recordOf(canary, 'r1'), outlivesHost: true };
    const path = forgeJournal(area.stateDir, { name, records: [record] });
    const host = await area.readyHost();
    expect(await host.ask({ do: 'start' })).toMatchObject({
      report: {
        kept: [],
        forgotten: 0,
        unproven: [{ pid: canary.pid, reason: `${path}: it is unproven` }],
      },
    });
    expect(isAlive(canary)).toBe(true);
    expect(area.files()).toContain(name);
  });

  it('negative control: without the wish it dies with its host', async ({ area }) => {
    const host = await area.readyHost();
    const request = {
      ...DAEMON,
      args: ['-c', `echo ready; ${DAEMON.args?.[1]}`],
      outlivesHost: false,
    };
    await host.ask({ do: 'spawn', request });
    host.kill('SIGKILL');
    expect(await area.survivors(GRACE_MS)).toEqual([]);
  });

  it('is adopted by its id, once, and then dies with its new host', async ({ area }) => {
    const first = await area.readyHost();
    const { id, leader } = await startDaemon(first);
    const [one, other] = [await area.readyHost(), await area.readyHost()];
    await Promise.all([one.ask({ do: 'start' }), other.ask({ do: 'start' })]);
    // Its own host lives: it is not to be had.
    expect(await one.ask({ do: 'adopt', options: { id } })).toMatchObject({
      code: 'NOT_ADOPTABLE',
      error: expect.stringContaining('its own host is alive'),
    });
    first.kill('SIGKILL');
    await first.exited;
    const answers = await Promise.all(
      [one, other].map((host) => host.ask({ do: 'adopt', options: { id } })),
    );
    const winners = answers.filter(({ done }) => done === 'adopt');
    const losers = answers.filter(({ code }) => code === 'NOT_ADOPTABLE');
    expect([winners.length, losers.length]).toEqual([1, 1]);
    expect(winners[0]).toMatchObject({ pid: leader.pid });
    const winner = answers[0] === winners[0] ? one : other;
    expect((await winner.ask({ do: 'list' }))['report']).toMatchObject([
      { pid: leader.pid, kind: 'daemon', sessionId: 's1', state: 'running' },
    ]);
    const stop = await winner.ask({ do: 'stop' });
    expect(stop).toMatchObject({ report: { ended: [{ pid: leader.pid }], survivors: [] } });
    expect(area.tree()).toEqual([]);
  });
});
