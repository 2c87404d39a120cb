// A host that is pid 1, as in a container without an init: what its trees orphan becomes its own
// child, and as Node reaps nobody else's children, a zombie for good.
import { readdirSync } from 'node:fs';
import { describe, expect } from 'vitest';
import {
  type Area,
  CAN_CONTAIN,
  CAN_UNSHARE,
  type ContainedHost,
  it,
  roleOf,
  SLEEPER,
  statFieldsOf,
  statusOf,
  UNSHARE,
} from '../../../kit/containment.ts';
import { endByIdentity, eventually, isAlive, type ProcessRow } from '../../../kit/process-table.ts';

const warningsOf = ({ messages }: ContainedHost) =>
  messages.filter(({ event, code }) => event === 'warning' && code === 'NO_INIT');

/** The host itself, from outside: the only child of `unshare`. */
function initOf({ child }: ContainedHost, area: Area): ProcessRow {
  const init = area.tree().find(({ ppid }) => ppid === child.pid);
  if (init === undefined) throw new Error('the host is gone');
  return init;
}

/** The zombies among a process's children, by the pids of their own namespace. */
function zombiesOf({ pid: parent }: ProcessRow): number[] {
  return readdirSync('/proc').flatMap((name) => {
    try {
      const [state, ppid] = /^\d+$/.test(name) ? statFieldsOf(Number(name)) : [];
      if (state !== 'Z' || Number(ppid) !== parent) return [];
      return [Number(statusOf(Number(name))['NSpid']?.split('\t').at(-1))];
    } catch {
      // It went in between.
      return [];
    }
  });
}

describe.runIf(CAN_UNSHARE)('a host that is pid 1', () => {
  it('says so, takes zombies for dead, and stops with nothing left', async ({ area }) => {
    const host = await area.readyHost({ through: UNSHARE });
    const init = initOf(host, area);
    const tree = await host.growTree();
    expect(warningsOf(host)).toMatchObject([
      { message: expect.stringMatching(/pid 1.*zombies.*docker run --init/) },
    ]);
    const { id, pid } = await host.ask({ do: 'spawn', request: SLEEPER });

    const orphans = tree.filter((row) => /double-fork/.test(roleOf(row)));
    expect(orphans.map(({ ppid }) => ppid)).toEqual([init.pid, init.pid]);
    endByIdentity(orphans);
    const zombies = await eventually(() => zombiesOf(init).length === 2 && zombiesOf(init));
    const probed = await host.ask({ do: 'probe', pids: [...zombies, pid as number, 1] });
    expect(probed['alive']).toEqual([false, false, true, true]);
    const listed = await host.ask({ do: 'list' });
    expect(listed['report']).toMatchObject([{ state: 'running' }, { id, pid, state: 'running' }]);
    expect(await host.ask({ do: 'sweep' })).toMatchObject({ report: { orphans: [] } });

    const { report } = await host.ask({ do: 'stop' });
    expect(report).toMatchObject({ survivors: [], unproven: [] });
    expect(area.tree().map(({ pid }) => pid)).toEqual([init.pid]);
    expect(zombiesOf(init).length, 'they lie around all the time').toBeGreaterThan(2);
    expect(area.files()).toEqual([]);
  });

  it('leaves no guardian behind as a zombie', async ({ area }) => {
    const host = await area.readyHost({ through: UNSHARE });
    const init = initOf(host, area);
    for (const _round of [1, 2]) {
      await host.ask({ do: 'start' });
      const guardian = await eventually(() => area.guardians()[0]);
      await host.ask({ do: 'stop' });
      await eventually(() => !isAlive(guardian));
    }
    await eventually(() => zombiesOf(init).length === 0, { what: 'they are reaped' });
  });

  it('ends leftovers whose whole group is zombies but for one', async ({ area }) => {
    const host = await area.readyHost({ through: UNSHARE });
    const init = initOf(host, area);
    // Its children lose it at once, one of them dies, and the other is left over.
    const args = ['-c', 'sleep 300 & sh -c "exit 0" & echo ready'];
    await host.ask({ do: 'spawn', request: { command: 'sh', args, kind: 'tool' } });
    await host.listsNothing();
    expect(area.tree().map(({ pid }) => pid)).toEqual([init.pid]);
    expect(zombiesOf(init)).not.toEqual([]);
    expect(await host.ask({ do: 'stop' })).toMatchObject({ report: { survivors: [] } });
  });
});

describe.runIf(CAN_CONTAIN)('a host below an init', () => {
  it('is not warned (control)', async ({ area }) => {
    const host = await area.readyHost();
    await host.ask({ do: 'start' });
    expect(warningsOf(host)).toEqual([]);
  });
});
