// Processes that others have started, and who may take them.
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import {
  type Area,
  CAN_CONTAIN,
  type ContainedHost,
  endAndConfirm,
  GRACE_MS,
  it,
  LADDER,
  SLEEPER,
} from '../../../kit/containment.ts';
import { DEAD_OWNER, forgeJournal, recordOf } from '../../../kit/forged-journal.ts';
import { eventually, isAlive, readRow } from '../../../kit/process-table.ts';
import { systemOs } from '../../../src/os/system.ts';
import { Supervisor } from '../../../src/supervisor/supervisor.ts';

async function refusal(host: ContainedHost, pid: number): Promise<string> {
  const { code, error } = await host.ask({ do: 'adopt', options: { pid } });
  expect(code).toBe('NOT_ADOPTABLE');
  return error ?? '';
}

describe.runIf(CAN_CONTAIN)('an adopted process', () => {
  it('is listed, and ended with its session', async ({ area }) => {
    const canary = area.canary();
    const bystander = area.canary();
    const host = await area.readyHost();
    const options = { pid: canary.pid, kind: 'server', sessionId: 's1' };
    const { id } = await host.ask({ do: 'adopt', options });
    const listed = await host.ask({ do: 'list' });
    expect(listed['report']).toMatchObject([
      { id, ...options, command: 'sleep', state: 'running' },
    ]);
    expect(await host.ask({ do: 'reap', sessionId: 's1' })).toMatchObject({
      report: { ended: [{ id, cause: 'reaped', code: null, signal: null }], survivors: [] },
    });
    expect([canary, bystander].map(isAlive)).toEqual([false, true]);
    expect((await host.ask({ do: 'list' }))['report']).toEqual([]);
  });

  it('that ends by itself is reported, though nobody can know how', async ({ area }) => {
    const canary = area.canary();
    const host = await area.readyHost();
    const { id = '' } = (await host.ask({ do: 'adopt', options: { pid: canary.pid } })) as {
      id?: string;
    };
    await endAndConfirm([canary]);
    expect(await host.ask({ do: 'exited', id })).toMatchObject({
      report: { id, pid: canary.pid, cause: 'completed', code: null, intentional: false },
    });
  });

  /** A leader that lives until it is ended, and a child in its session that a look may not have seen yet. */
  const family = async (area: Area) => {
    const leader = area.canary({}, ['sh', '-c', 'sleep 300 & wait']);
    const child = await eventually(() => area.childrenOf(leader)[0]);
    return { leader, child };
  };

  it('that dies by itself takes with it what it has left in its session', async ({ area }) => {
    const { leader, child } = await family(area);
    const bystander = area.canary();
    const host = await area.readyHost();
    const { id } = await host.ask({ do: 'adopt', options: { pid: leader.pid } });
    process.kill(leader.pid, 'SIGKILL');
    expect(await host.ask({ do: 'exited', id: String(id) })).toMatchObject({
      report: { id, leftovers: [{ pid: child.pid, command: 'sleep' }] },
    });
    expect([leader, child, bystander].map(isAlive)).toEqual([false, false, true]);
  });

  it('that dies by itself leaves it alone where leftovers are kept', async ({ area }) => {
    const { leader, child } = await family(area);
    const host = await area.readyHost({ options: { leftovers: 'keep' } });
    const { id } = await host.ask({ do: 'adopt', options: { pid: leader.pid } });
    process.kill(leader.pid, 'SIGKILL');
    await host.ask({ do: 'exited', id: String(id) });
    expect(isAlive(child)).toBe(true);
    await endAndConfirm([child]);
  });

  it('says when the kernel started it', async ({ area }) => {
    const beforeMs = Date.now();
    const canary = area.canary();
    const afterMs = Date.now();
    await delay(300);
    const host = await area.readyHost();
    await host.ask({ do: 'adopt', options: { pid: canary.pid } });
    const [{ startedAt }] = (await host.ask({ do: 'list' }))['report'] as [{ startedAt: number }];
    // The kernel counts in hundredths of a second.
    expect(startedAt).toBeGreaterThanOrEqual(beforeMs - 20);
    expect(startedAt).toBeLessThanOrEqual(afterMs + 20);
  });

  it('dies with its host if it leads a session of its own', async ({ area }) => {
    const canary = area.canary();
    const host = await area.readyHost();
    await host.ask({ do: 'adopt', options: { pid: canary.pid } });
    host.kill('SIGKILL');
    await eventually(() => !isAlive(canary), { timeoutMs: GRACE_MS });
  });

  it('outside a session of its own is ended alone: its group is not its own', async ({ area }) => {
    const [first, second] = await area.orphanedSession();
    const host = await area.readyHost();
    const { id = '' } = (await host.ask({ do: 'adopt', options: { pid: first.pid } })) as {
      id?: string;
    };
    expect(await host.ask({ do: 'terminate', id })).toMatchObject({ report: { survivors: [] } });
    expect([first, second].map(isAlive)).toEqual([false, true]);
    await endAndConfirm([second]);
  });
});

describe.runIf(CAN_CONTAIN)('adopt refuses', () => {
  it.for([
    [1, 'init process'],
    [0, 'init process'],
    [-5, 'init process'],
    [2 ** 22 + 1, 'no such process'],
  ] as const)('pid %i: %s', async ([pid, reason], { area }) => {
    expect(await refusal(await area.readyHost(), pid)).toContain(reason);
  });

  it('the host itself and its ancestors', async ({ area }) => {
    const host = await area.readyHost();
    expect(await refusal(host, host.child.pid ?? 0)).toContain('it is this host, or one of its');
    expect(await refusal(host, process.pid)).toContain('it is this host, or one of its');
  });

  it('guardians: its own, and those of others', async ({ area }) => {
    const [host, other] = [await area.readyHost(), await area.readyHost()];
    for (const each of [host, other]) await each.ask({ do: 'start' });
    const guardians = await eventually(() => {
      const found = area.guardians();
      return found.length === 2 && found;
    });
    for (const { pid } of guardians)
      expect(await refusal(host, pid)).toContain('it is the guardian of a supervisor');
    expect(guardians.map(isAlive)).toEqual([true, true]);
  });

  it('what is not there any more', async ({ area }) => {
    const canary = area.canary();
    await endAndConfirm([canary]);
    expect(await refusal(await area.readyHost(), canary.pid)).toMatch(/no such process|zombie/);
  });

  it('what a living supervisor has started, and what belongs to its own trees', async ({
    area,
  }) => {
    const [host, other] = [await area.readyHost(), await area.readyHost()];
    const { pid } = await host.ask({ do: 'spawn', request: SLEEPER });
    expect(await refusal(other, Number(pid))).toContain('the mark of another');
    expect(await refusal(host, Number(pid))).toContain('which is supervised here');
    expect(readRow(Number(pid))).toBeDefined();
  });

  it('what another living host has adopted', async ({ area }) => {
    const canary = area.canary();
    const [host, other] = [await area.readyHost(), await area.readyHost()];
    await host.ask({ do: 'adopt', options: { pid: canary.pid } });
    expect(await refusal(host, canary.pid)).toContain('which is supervised here');
    expect(await refusal(other, canary.pid)).toContain('holds it, and is alive');
    expect((await other.ask({ do: 'list' }))['report']).toEqual([]);
    // Once that host is dead and its guardian with it, nobody holds it; here it was ended.
    host.kill('SIGKILL');
    await eventually(() => !isAlive(canary), { timeoutMs: GRACE_MS });
  });

  it('what an owner has who cannot be told to be dead', async ({ area }) => {
    const canary = area.canary();
    const host = await area.readyHost();
    forgeJournal(area.stateDir, { owner: { bootId: '' }, records: [recordOf(canary)] });
    expect(await refusal(host, canary.pid)).toContain('alive as far as can be told');
    expect(isAlive(canary)).toBe(true);
  });

  it.runIf(process.getuid?.() === 0)("another user's", async ({ area }) => {
    const host = await area.readyHost();
    const args = ['-c', 'echo ready; exec sleep 300'];
    const theirs = area.canary({}, ['setpriv', '--reuid=65534', '--clear-groups', 'sh', ...args]);
    await eventually(() => readRow(theirs.pid)?.args[0] === 'sleep');
    expect(await refusal(host, theirs.pid)).toContain("another user's");
    expect(isAlive(theirs)).toBe(true);
  });

  it.for([
    [{}, 'either a pid or the id'],
    [{ pid: 5, id: 'x' }, 'either a pid or the id'],
    [{ pid: 1.5 }, '"pid"'],
    [{ pid: 5, colour: 1 }, 'unknown option "colour"'],
  ] as const)('%j as no valid wish', async ([options, message], { area }) => {
    const host = await area.readyHost();
    const answer = await host.ask({ do: 'adopt', options: options as { pid: number } });
    expect(answer).toMatchObject({
      code: 'INVALID_OPTIONS',
      error: expect.stringContaining(message),
    });
  });
});

/** A supervisor in this process, and a way to step in while it is at work. */
const here = it.extend('own', async ({ area }, { onCleanup }) => {
  const os = systemOs();
  const { snapshot, read } = os.processes;
  const steps = new Map<string, () => void>();
  const step = (name: string): void => steps.get(name)?.();
  const processes = {
    snapshot: async () => {
      const table = await snapshot();
      step('look');
      return table;
    },
    read: (pid: number) => {
      step(`read ${pid}`);
      return read?.(pid);
    },
  };
  const supervisor = new Supervisor(
    { stateDir: area.stateDir, ladder: LADDER },
    { ...os, processes },
  );
  onCleanup(async () => {
    await supervisor.stop();
  });
  /** Calls back in the midst of the `nth` step of this name from now on. */
  const at = (name: string, nth: number, call: () => void): void => {
    let left = nth;
    steps.set(name, () => {
      if (--left === 0) call();
    });
  };
  return { supervisor, at };
});

describe.runIf(CAN_CONTAIN)('an adoption', () => {
  here('twice at once in one host is one', async ({ area, own: { supervisor } }) => {
    const { pid } = area.canary();
    await supervisor.start();
    const adoptions = await Promise.allSettled([1, 2, 3].map(() => supervisor.adopt({ pid })));
    const refusal = { code: 'NOT_ADOPTABLE', message: expect.stringContaining('supervised here') };
    expect(adoptions).toMatchObject([
      { status: 'fulfilled' },
      { status: 'rejected', reason: refusal },
      { status: 'rejected', reason: refusal },
    ]);
    expect(supervisor.list()).toMatchObject([{ pid }]);
    expect(await supervisor.stop()).toMatchObject({ ended: [{ pid }], survivors: [] });
  });

  it.for([
    ['is dead', {}],
    ['is of an earlier boot', { bootId: 'earlier' }],
    ['is of another machine', { machine: 'another', bootId: 'another' }],
    ['is of another PID namespace', { pidNamespace: 'pid:[1]' }],
  ] as const)('takes what is in the journal of an owner that %s', async ([, owner], { area }) => {
    const canary = area.canary();
    const { pid } = canary;
    const host = await area.readyHost();
    // A start would deal with the journal first.
    await host.ask({ do: 'start' });
    forgeJournal(area.stateDir, { owner, records: [recordOf(canary)] });
    expect(await host.ask({ do: 'adopt', options: { pid } })).toMatchObject({ done: 'adopt', pid });
  });

  here.for(['look', `read ${DEAD_OWNER.pid}`])(
    'is refused when a stop begins at its %s, and the process lives on',
    async (step, { area, own: { supervisor, at } }) => {
      const canary = area.canary();
      await supervisor.start();
      const forged = forgeJournal(area.stateDir, { records: [recordOf(canary)] });
      const stopped = new Promise((resolve) => at(step, 1, () => resolve(supervisor.stop())));
      await expect(supervisor.adopt({ pid: canary.pid })).rejects.toMatchObject({
        code: 'STOPPING',
      });
      expect(await stopped).toMatchObject({ ended: [], survivors: [] });
      expect(supervisor.list()).toEqual([]);
      expect(isAlive(canary)).toBe(true);
      expect(area.files().map((name) => forged.endsWith(name))).toEqual([true]);
    },
  );

  here.for([1, 2])(
    'refused by a stop at its look %i leaves what lives on to a later one',
    async (nth, { area, own: { supervisor, at } }) => {
      const host = await area.readyHost();
      const request = { command: 'sleep', args: ['300'], kind: 'daemon', outlivesHost: true };
      const { id, pid } = await host.ask({ do: 'spawn', request });
      host.kill('SIGKILL');
      await host.exited;
      await supervisor.start();
      const stopped = new Promise((resolve) => at('look', nth, () => resolve(supervisor.stop())));
      await expect(supervisor.adopt({ id: String(id) })).rejects.toMatchObject({
        code: 'STOPPING',
      });
      await stopped;
      expect(area.files()).toEqual([expect.stringMatching(/^kept-/)]);
      expect(area.tree()).toMatchObject([{ pid }]);

      expect(await supervisor.start()).toMatchObject({ kept: [{ id, pid }] });
      expect(await supervisor.adopt({ id: String(id) })).toMatchObject({ pid });
      expect(await supervisor.stop()).toMatchObject({ ended: [{ pid }], survivors: [] });
      expect(area.files()).toEqual([]);
    },
  );
});
