import { beforeEach, describe, expect, it } from 'vitest';
import { FakeOs, type FakeProcess } from '../../../kit/fake-os.ts';
import type { PidSupply, Platform } from '../../../src/os/os.ts';
import { ProcessTree } from '../../../src/tree/tracked-tree.ts';
import type { TreeRoot } from '../../../src/tree/tree.ts';

const COOKIE = 'o1.r1';
/** Survives a signal. */
const DEAF = { SIGTERM: 'ignore', SIGKILL: 'ignore' } as const;
const UNREADABLE = new Error('EMFILE');

let os: FakeOs;
let root: FakeProcess;
let tree: ProcessTree;

/** Adds the root of a tree to the table, and returns both to the test. */
function plant(known: Partial<TreeRoot> = {}, platform: Platform = 'linux'): void {
  os = new FakeOs(platform);
  root = os.add({ cookie: COOKIE, on: DEAF });
  const { pid, startTime } = root;
  tree = new ProcessTree(os, {
    ...{ pid, startTime, leadsGroup: true, held: true, cookie: COOKIE },
    ...known,
  });
}

const found = async () => (await tree.liveMembers()).map(({ pid }) => pid);
const signal = (name: NodeJS.Signals) => tree.signal(name, () => true);

/** A member that only its group proves. */
const inGroup = () => os.add({ ppid: 1, pgid: root.pid, sid: root.pid, on: DEAF });

beforeEach(() => plant());

describe('a search for live members', () => {
  it('takes one snapshot if there are members', async () => {
    expect(await found()).toEqual([root.pid]);
    expect(os.looks).toBe(1);
  });

  it('takes two snapshots if there are none', async () => {
    os.die(root.pid);
    expect(await found()).toEqual([]);
    expect(os.looks).toBe(2);
  });

  it('finds a member that only the second snapshot shows', async () => {
    os.die(root.pid);
    let missed: FakeProcess | undefined;
    os.afterLook = () => {
      missed ??= os.add({ ppid: 1, cookie: COOKIE });
    };
    expect(await found()).toEqual([missed?.pid]);
  });
});

describe('a member that may not be signalled', () => {
  it('is not found, but reported', async () => {
    const other = os.fork(root.pid);
    expect(await found()).toEqual([root.pid, other.pid]);
    os.denied.add(other.pid);
    expect(await found()).toEqual([root.pid]);
    expect(tree.denied.map(({ pid }) => pid)).toEqual([other.pid]);
    await signal('SIGKILL');
    expect(os.received(other)).toEqual([]);
  });

  it('is waited for if it is our own child, whose exit is reported', async () => {
    os.denied.add(root.pid);
    expect(await found()).toEqual([root.pid]);
    expect(tree.denied).toEqual([]);
  });

  it('is found again once it runs as our own user', async () => {
    const other = os.fork(root.pid);
    os.denied.add(other.pid);
    await found();
    os.denied.delete(other.pid);
    expect(await found()).toEqual([root.pid, other.pid]);
    expect(tree.denied).toEqual([]);
  });
});

describe('a root that is dead', () => {
  it('has a group that is ours as long as its id cannot have been reassigned', async () => {
    const first = inGroup();
    os.die(root.pid);
    tree.letGo();
    expect(await found()).toEqual([first.pid]);
    os.die(first.pid);
    const second = inGroup();
    expect(await found()).toEqual([second.pid]);
    const third = inGroup();
    os.die(second.pid);
    expect(await found()).toEqual([third.pid]);
  });

  /** Lets the pids come round: members of the group are strangers by now. */
  const comeRound = () => {
    const { forks = 0, ...supply } = os.supply ?? {};
    os.supply = { ...(supply as PidSupply), forks: forks + 32_768 };
  };

  it.each([
    ['pids have come round before its exit was reported', () => comeRound()],
    ['more pids are gone than forks can have taken', () => jump(5000)],
    [
      'there are no pid counters',
      () => {
        os.supply = undefined;
      },
    ],
  ])('has no group any more once %s', async (_what, happens) => {
    os.die(root.pid);
    happens();
    tree.letGo();
    const stranger = inGroup();
    expect(await found()).toEqual([]);
    await signal('SIGKILL');
    expect(os.received(stranger)).toEqual([]);
  });

  const jump = (numbers: number) => {
    const supply = os.supply as PidSupply;
    os.supply = { ...supply, last: supply.last + numbers };
  };
  it('has no group any more once the kernel has passed its id, even only a few forks ago', async () => {
    // The root has lived until its pid was almost next again.
    const supply = os.supply as PidSupply;
    os.supply = { ...supply, forks: supply.forks + 32_000, last: root.pid - 20 };
    expect(await found()).toEqual([root.pid]);
    os.die(root.pid);
    os.supply = { ...os.supply, forks: supply.forks + 32_040, last: root.pid + 20 };
    tree.letGo();
    inGroup();
    expect(await found()).toEqual([]);
  });

  it('has no group by being held alone: its id may be reassigned before its exit is reported', async () => {
    os.die(root.pid);
    comeRound();
    inGroup();
    expect(await found()).toEqual([]);
  });

  it('still has the members that a snapshot has proven while it lived', async () => {
    const child = os.fork(root.pid, { pgid: 300, sid: 300, cookie: undefined, on: DEAF });
    tree.membersIn(await os.processes.snapshot());
    os.die(root.pid);
    comeRound();
    tree.letGo();
    expect(await found()).toEqual([child.pid]);
  });

  it('is never found again, even with the same pid and the same start time', async () => {
    os.die(root.pid);
    tree.letGo();
    os.add({ pid: root.pid, ppid: 1, startTime: root.startTime, command: 'stranger' });
    expect(await found()).toEqual([]);
  });

  it('keeps its pid until it is released', async () => {
    for (let count = 0; count < 4; count++) expect(await found()).toEqual([root.pid]);
    expect(tree.root.held).toBe(true);
  });

  it('keeps its pid for two more snapshots on Windows, where nothing else shows its orphans', async () => {
    plant({ leadsGroup: false }, 'win32');
    const child = os.fork(root.pid);
    os.die(root.pid);
    tree.letGo();
    expect(await found()).toEqual([child.pid]);
    expect(tree.root.held).toBe(true);
    await found();
    expect(tree.root.held).toBe(false);
  });
});

describe('a snapshot during which ids may have been reassigned', () => {
  const unsettle = () => {
    os.supply = { ...(os.supply as PidSupply), max: 420 };
  };

  it('finds the members that are unchanged', async () => {
    unsettle();
    const child = os.fork(root.pid, { pgid: 300, sid: 300, cookie: undefined });
    const orphan = os.add({ ppid: 1, pgid: 300, sid: 300 });
    expect(await found()).toEqual([root.pid, child.pid, orphan.pid]);
  });

  it.each([
    ['parent pid', (parent: FakeProcess) => ({ ppid: parent.pid })],
    ['group', (parent: FakeProcess) => ({ ppid: 1, pgid: parent.pid, sid: parent.pid })],
  ])('finds no stranger by the %s of a process that has died meanwhile', async (_what, link) => {
    unsettle();
    const parent = os.fork(root.pid, { pgid: 300, sid: 300, cookie: undefined });
    const stranger = os.add({ command: 'stranger', ...link(parent) });
    os.afterLook = () => {
      if (os.alive.includes(parent.pid)) os.die(parent.pid);
      stranger.ppid = 1;
    };
    expect(await found()).toEqual([root.pid]);
    os.afterLook = undefined;
    // Nor later, as if it had been proven.
    expect(await found()).toEqual([root.pid]);
  });

  it('negative control: the snapshot alone finds the stranger', async () => {
    const parent = os.fork(root.pid, { pgid: 300, sid: 300, cookie: undefined });
    const stranger = os.add({ command: 'stranger', ppid: parent.pid });
    os.afterLook = () => {
      if (os.alive.includes(parent.pid)) os.die(parent.pid);
    };
    expect(await found()).toContain(stranger.pid);
  });

  it('finds known members where nothing can be read again', async () => {
    const child = os.fork(root.pid, { pgid: 300, sid: 300, cookie: undefined });
    expect(await found()).toEqual([root.pid, child.pid]);
    unsettle();
    os.fork(root.pid, { pgid: 301, sid: 301, cookie: undefined });
    os.readError = UNREADABLE;
    expect(await found()).toEqual([root.pid, child.pid]);
  });
});

describe('a tree that forks faster than a snapshot', () => {
  /** With each snapshot the last member of the group has died, and a new one lives. */
  function chain(after: (last: FakeProcess) => void = () => undefined): { last: FakeProcess } {
    const state = { last: inGroup() };
    os.die(root.pid);
    tree.letGo();
    os.afterLook = () => {
      os.die(state.last.pid);
      state.last = inGroup();
      after(state.last);
    };
    return state;
  }

  it('is signalled by its group, although no member of the snapshot is alive any more', async () => {
    const state = chain();
    await signal('SIGKILL');
    expect(os.log).toEqual([]);
    await signal('SIGKILL');
    expect(os.received(state.last)).toEqual(['SIGSTOP', 'SIGSTOP', 'SIGKILL']);
  });

  it("is not signalled once its id may be another's", async () => {
    chain();
    await signal('SIGKILL');
    os.supply = undefined;
    await signal('SIGKILL');
    expect(os.log).toEqual([]);
  });

  it('is not stopped before a polite signal', async () => {
    const state = chain();
    await signal('SIGTERM');
    await signal('SIGTERM');
    expect(os.received(state.last)).toEqual(['SIGTERM']);
  });

  it('is found by its group, although no snapshot shows a member', async () => {
    os.die(root.pid);
    tree.letGo();
    Object.assign(os, { hasGroup: (pgid: number) => pgid === root.pid });
    expect(await tree.liveMembers()).toMatchObject([{ pid: root.pid, alive: false }]);
    await signal('SIGKILL');
    expect(os.log).toEqual([`SIGKILL -${root.pid}`]);
  });

  it('is found by members that were born and died between two snapshots', async () => {
    os.die(root.pid);
    tree.letGo();
    os.afterLook = () => {
      inGroup().alive = false;
    };
    expect((await tree.liveMembers()).every(({ alive }) => !alive)).toBe(true);
    expect(await tree.liveMembers()).not.toEqual([]);
  });

  it('is found by all callers who share a snapshot', async () => {
    os.die(root.pid);
    tree.letGo();
    os.afterLook = () => {
      inGroup().alive = false;
    };
    await tree.liveMembers();
    const table = await os.processes.snapshot();
    Object.assign(os.processes, { snapshot: async () => table });
    const [one, other] = await Promise.all([signal('SIGKILL'), signal('SIGKILL')]);
    expect(one).not.toEqual([]);
    expect(other).toEqual(one);
  });

  it('is not kept alive by zombies, however long they stay', async () => {
    inGroup().alive = false;
    os.die(root.pid);
    tree.letGo();
    for (let count = 0; count < 3; count++) expect(await tree.liveMembers()).toEqual([]);
    expect(await signal('SIGKILL')).toEqual([]);
  });
});

describe('a signal', () => {
  it('goes to a group in which a member has died since the snapshot', async () => {
    const child = inGroup();
    os.afterLook = () => {
      os.afterLook = undefined;
      os.die(root.pid);
    };
    await signal('SIGTERM');
    expect(os.log).toEqual([`SIGTERM -${root.pid}`]);
    expect(os.received(child)).toEqual(['SIGTERM']);
  });

  it('goes to single members of a group with a stranger, and to the other groups as a whole', async () => {
    const stranger = os.add({ command: 'stranger' });
    const child = os.fork(root.pid, { pgid: stranger.pid, sid: stranger.pid, on: DEAF });
    await signal('SIGTERM');
    expect(os.log).toEqual([`SIGTERM -${root.pid}`, `SIGTERM ${child.pid}`]);
    expect(os.received(stranger)).toEqual([]);
  });

  it('goes to no process that is gone since the snapshot, even if it was held', async () => {
    os.afterLook = () => os.die(root.pid);
    await signal('SIGKILL');
    expect(os.log).toEqual([]);
  });

  it('goes to no process that is a zombie since the snapshot', async () => {
    os.afterLook = () => {
      root.alive = false;
    };
    await signal('SIGKILL');
    expect(os.log).toEqual([]);
  });

  it('goes to a held root, and to no other member that cannot be read now', async () => {
    const child = os.fork(root.pid, { pgid: 300, sid: 300, on: DEAF });
    os.readError = UNREADABLE;
    await signal('SIGKILL');
    expect(os.received(root)).toEqual(['SIGKILL']);
    expect(os.received(child)).toEqual([]);
  });

  it('goes to all members of the snapshot where only snapshots can tell', async () => {
    plant({}, 'darwin');
    const child = os.fork(root.pid, { pgid: 300, sid: 300, on: DEAF });
    await signal('SIGTERM');
    expect(os.log).toEqual([`SIGTERM -${root.pid}`, `SIGTERM -300`]);
    expect(os.received(child)).toEqual(['SIGTERM']);
  });

  it('ends a whole tree only as SIGKILL, where the system ends trees', async () => {
    plant({}, 'win32');
    await signal('SIGTERM');
    await signal('SIGKILL');
    expect(os.log).toEqual([`SIGTERM ${root.pid}`, `end ${root.pid}`]);
  });
});

describe('without a snapshot', () => {
  const groupsSignalled = () => os.log.filter((line) => line.includes(' -'));

  it.each([
    ['a group that the held root leads', { leadsGroup: true, held: true }, 1],
    ['no group of a root that is not held', { leadsGroup: true, held: false }, 0],
    ['no group that the root does not lead', { leadsGroup: false, held: true }, 0],
  ])('only %s is signalled as a group', async (_which, known, groups) => {
    plant(known);
    os.lookError = UNREADABLE;
    await signal('SIGKILL');
    expect(groupsSignalled()).toHaveLength(groups);
    expect(os.received(root)).toEqual(['SIGKILL']);
  });

  it('a known member that has died is not found any more', async () => {
    const child = inGroup();
    expect(await found()).toEqual([root.pid, child.pid]);
    os.lookError = UNREADABLE;
    os.die(child.pid);
    expect(await found()).toEqual([root.pid]);
  });

  it('a known member that cannot be read counts as alive', async () => {
    os.lookError = os.readError = UNREADABLE;
    expect(await tree.liveMembers()).toMatchObject([{ pid: root.pid, alive: true }]);
  });
});

it("the root's existence is known where the system can tell", async () => {
  expect(tree.rootIsThere).toBe(true);
  root.alive = false;
  expect(tree.rootIsThere).toBe(false);
  os.readError = UNREADABLE;
  expect(tree.rootIsThere).toBeUndefined();
  plant({}, 'darwin');
  expect(tree.rootIsThere).toBeUndefined();
});
