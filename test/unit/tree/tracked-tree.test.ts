import { beforeEach, describe, expect, it } from 'vitest';
import { FakeOs, type FakeProcess } from '../../../kit/fake-os.ts';
import type { PidSupply, Platform } from '../../../src/os/os.ts';
import { ProcessTree } from '../../../src/tree/tracked-tree.ts';
import type { TreeRoot } from '../../../src/tree/tree.ts';

const COOKIE = 'o1.r1';
/** Is there after a signal, too. */
const DEAF = { SIGTERM: 'ignore', SIGKILL: 'ignore' } as const;
const UNREADABLE = new Error('EMFILE');

let os: FakeOs;
let root: FakeProcess;
let tree: ProcessTree;

/** Puts the root of a tree into the table, and its tree into the test's hands. */
function plant(known: Partial<TreeRoot> = {}, platform: Platform = 'linux'): void {
  os = new FakeOs(platform);
  root = os.add({ cookie: COOKIE, on: DEAF });
  const { pid, startTime } = root;
  tree = new ProcessTree(os, {
    ...{ pid, startTime, leadsGroup: true, held: true, cookie: COOKIE },
    ...known,
  });
}

const found = async () => (await tree.look()).map(({ pid }) => pid);
const signal = (name: NodeJS.Signals) => tree.signal(name, () => true);

/** One of the tree that only its group tells of. */
const inGroup = () => os.add({ ppid: 1, pgid: root.pid, sid: root.pid, on: DEAF });

beforeEach(() => plant());

describe('a look', () => {
  it('is one look where somebody is found', async () => {
    expect(await found()).toEqual([root.pid]);
    expect(os.looks).toBe(1);
  });

  it('is two looks where nobody is', async () => {
    os.die(root.pid);
    expect(await found()).toEqual([]);
    expect(os.looks).toBe(2);
  });

  it('finds whom only the second of two has seen', async () => {
    os.die(root.pid);
    let missed: FakeProcess | undefined;
    os.afterLook = () => {
      missed ??= os.add({ ppid: 1, cookie: COOKIE });
    };
    expect(await found()).toEqual([missed?.pid]);
  });
});

describe('who may not be signalled', () => {
  it('is not looked for, and named', async () => {
    const other = os.fork(root.pid);
    expect(await found()).toEqual([root.pid, other.pid]);
    os.denied.add(other.pid);
    expect(await found()).toEqual([root.pid]);
    expect(tree.denied.map(({ pid }) => pid)).toEqual([other.pid]);
    await signal('SIGKILL');
    expect(os.received(other)).toEqual([]);
  });

  it('is waited for if it is the child itself, whose end is told', async () => {
    os.denied.add(root.pid);
    expect(await found()).toEqual([root.pid]);
    expect(tree.denied).toEqual([]);
  });

  it('is found again when it has become our own user’s', async () => {
    const other = os.fork(root.pid);
    os.denied.add(other.pid);
    await found();
    os.denied.delete(other.pid);
    expect(await found()).toEqual([root.pid, other.pid]);
    expect(tree.denied).toEqual([]);
  });
});

describe('a root that is dead', () => {
  it('has a group that is ours for as long as its number cannot have been given out again', async () => {
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

  /** Numbers come round: what is in the group by now is somebody else's. */
  const comeRound = () => {
    const { forks = 0, ...supply } = os.supply ?? {};
    os.supply = { ...(supply as PidSupply), forks: forks + 32_768 };
  };

  it.each([
    ['numbers have come round while its exit waited to be told', () => comeRound()],
    ['more numbers are gone than forks can have taken', () => jump(5000)],
    [
      'nothing tells how numbers are given out',
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
  it('has no group any more once the kernel has come past its number, though only some forks ago', async () => {
    // It has lived until it was almost its number's turn again.
    const supply = os.supply as PidSupply;
    os.supply = { ...supply, forks: supply.forks + 32_000, last: root.pid - 20 };
    expect(await found()).toEqual([root.pid]);
    os.die(root.pid);
    os.supply = { ...os.supply, forks: supply.forks + 32_040, last: root.pid + 20 };
    tree.letGo();
    inGroup();
    expect(await found()).toEqual([]);
  });

  it('has no group by its hold alone: others may have its number before its exit is told', async () => {
    os.die(root.pid);
    comeRound();
    inGroup();
    expect(await found()).toEqual([]);
  });

  it('still has members that a look has proven while it lived', async () => {
    const child = os.fork(root.pid, { pgid: 300, sid: 300, cookie: undefined, on: DEAF });
    tree.membersIn(await os.processes.look());
    os.die(root.pid);
    comeRound();
    tree.letGo();
    expect(await found()).toEqual([child.pid]);
  });

  it('is nobody any more, whoever has its number and its very start time', async () => {
    os.die(root.pid);
    tree.letGo();
    os.add({ pid: root.pid, ppid: 1, startTime: root.startTime, command: 'stranger' });
    expect(await found()).toEqual([]);
  });

  it('keeps its number for as long as nobody has let it go', async () => {
    for (let look = 0; look < 4; look++) expect(await found()).toEqual([root.pid]);
    expect(tree.root.held).toBe(true);
  });

  it('keeps it for two looks more on Windows, where nothing else tells of those it has left', async () => {
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

describe('a look in which numbers may have changed hands', () => {
  const unsettle = () => {
    os.supply = { ...(os.supply as PidSupply), max: 420 };
  };

  it('finds who is still what it was', async () => {
    unsettle();
    const child = os.fork(root.pid, { pgid: 300, sid: 300, cookie: undefined });
    const orphan = os.add({ ppid: 1, pgid: 300, sid: 300 });
    expect(await found()).toEqual([root.pid, child.pid, orphan.pid]);
  });

  it.each([
    ['number', (parent: FakeProcess) => ({ ppid: parent.pid })],
    ['group', (parent: FakeProcess) => ({ ppid: 1, pgid: parent.pid, sid: parent.pid })],
  ])('finds nobody by the %s of one who has died meanwhile', async (_what, link) => {
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

  it('negative control: by a look alone the stranger is found', async () => {
    const parent = os.fork(root.pid, { pgid: 300, sid: 300, cookie: undefined });
    const stranger = os.add({ command: 'stranger', ppid: parent.pid });
    os.afterLook = () => {
      if (os.alive.includes(parent.pid)) os.die(parent.pid);
    };
    expect(await found()).toContain(stranger.pid);
  });

  it('finds whom it has known before, where nothing can be read again', async () => {
    const child = os.fork(root.pid, { pgid: 300, sid: 300, cookie: undefined });
    expect(await found()).toEqual([root.pid, child.pid]);
    unsettle();
    os.fork(root.pid, { pgid: 301, sid: 301, cookie: undefined });
    os.readError = UNREADABLE;
    expect(await found()).toEqual([root.pid, child.pid]);
  });
});

describe('a tree that forks faster than a look', () => {
  /** Each time that somebody looks, the last of the group has died, and another one lives. */
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

  it('is signalled by its group, though nobody seen is there any more', async () => {
    const state = chain();
    await signal('SIGKILL');
    expect(os.log).toEqual([]);
    await signal('SIGKILL');
    expect(os.received(state.last)).toEqual(['SIGSTOP', 'SIGSTOP', 'SIGKILL']);
  });

  it('is not, once its number may be another’s', async () => {
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

  it('is found by its group, though no look shows anyone in it', async () => {
    os.die(root.pid);
    tree.letGo();
    Object.assign(os, { hasGroup: (pgid: number) => pgid === root.pid });
    expect(await tree.look()).toMatchObject([{ pid: root.pid, alive: false }]);
    await signal('SIGKILL');
    expect(os.log).toEqual([`SIGKILL -${root.pid}`]);
  });

  it('is found by those who were born and died between two looks', async () => {
    os.die(root.pid);
    tree.letGo();
    os.afterLook = () => {
      inGroup().alive = false;
    };
    expect((await tree.look()).every(({ alive }) => !alive)).toBe(true);
    expect(await tree.look()).not.toEqual([]);
  });

  it('is found by all who share one look', async () => {
    os.die(root.pid);
    tree.letGo();
    os.afterLook = () => {
      inGroup().alive = false;
    };
    await tree.look();
    const table = await os.processes.look();
    Object.assign(os.processes, { look: async () => table });
    const [one, other] = await Promise.all([signal('SIGKILL'), signal('SIGKILL')]);
    expect(one).not.toEqual([]);
    expect(other).toEqual(one);
  });

  it('is not alive by its zombies, however long they lie there', async () => {
    inGroup().alive = false;
    os.die(root.pid);
    tree.letGo();
    for (let look = 0; look < 3; look++) expect(await tree.look()).toEqual([]);
    expect(await signal('SIGKILL')).toEqual([]);
  });
});

describe('a signal', () => {
  it('goes to a group in which somebody has died since the look', async () => {
    const child = inGroup();
    os.afterLook = () => {
      os.afterLook = undefined;
      os.die(root.pid);
    };
    await signal('SIGTERM');
    expect(os.log).toEqual([`SIGTERM -${root.pid}`]);
    expect(os.received(child)).toEqual(['SIGTERM']);
  });

  it('goes to a process by itself where a stranger is in its group, and to the other groups as a whole', async () => {
    const stranger = os.add({ command: 'stranger' });
    const child = os.fork(root.pid, { pgid: stranger.pid, sid: stranger.pid, on: DEAF });
    await signal('SIGTERM');
    expect(os.log).toEqual([`SIGTERM -${root.pid}`, `SIGTERM ${child.pid}`]);
    expect(os.received(stranger)).toEqual([]);
  });

  it('goes to nobody who is gone since the look, though we held him', async () => {
    os.afterLook = () => os.die(root.pid);
    await signal('SIGKILL');
    expect(os.log).toEqual([]);
  });

  it('goes to nobody who is a zombie since the look', async () => {
    os.afterLook = () => {
      root.alive = false;
    };
    await signal('SIGKILL');
    expect(os.log).toEqual([]);
  });

  it('goes, of those that were seen but cannot be read now, to the one that we hold', async () => {
    const child = os.fork(root.pid, { pgid: 300, sid: 300, on: DEAF });
    os.readError = UNREADABLE;
    await signal('SIGKILL');
    expect(os.received(root)).toEqual(['SIGKILL']);
    expect(os.received(child)).toEqual([]);
  });

  it('goes to all that was seen where nothing but a look tells who is there', async () => {
    plant({}, 'darwin');
    const child = os.fork(root.pid, { pgid: 300, sid: 300, on: DEAF });
    await signal('SIGTERM');
    expect(os.log).toEqual([`SIGTERM -${root.pid}`, `SIGTERM -300`]);
    expect(os.received(child)).toEqual(['SIGTERM']);
  });

  it('is the end of a tree only as SIGKILL, where the system ends trees', async () => {
    plant({}, 'win32');
    await signal('SIGTERM');
    await signal('SIGKILL');
    expect(os.log).toEqual([`SIGTERM ${root.pid}`, `end ${root.pid}`]);
  });
});

describe('without a look', () => {
  const groupsSignalled = () => os.log.filter((line) => line.includes(' -'));

  it.each([
    ['one that it leads and that we hold', { leadsGroup: true, held: true }, 1],
    ['none that we do not hold', { leadsGroup: true, held: false }, 0],
    ['none that it does not lead', { leadsGroup: false, held: true }, 0],
  ])('of groups, %s is signalled', async (_which, known, groups) => {
    plant(known);
    os.lookError = UNREADABLE;
    await signal('SIGKILL');
    expect(groupsSignalled()).toHaveLength(groups);
    expect(os.received(root)).toEqual(['SIGKILL']);
  });

  it('whoever was known and has died is not there any more', async () => {
    const child = inGroup();
    expect(await found()).toEqual([root.pid, child.pid]);
    os.lookError = UNREADABLE;
    os.die(child.pid);
    expect(await found()).toEqual([root.pid]);
  });

  it('whoever cannot be read either counts as alive', async () => {
    os.lookError = os.readError = UNREADABLE;
    expect(await tree.look()).toMatchObject([{ pid: root.pid, alive: true }]);
  });
});

it('tells whether the root is there, where that can be told', async () => {
  expect(tree.rootIsThere).toBe(true);
  root.alive = false;
  expect(tree.rootIsThere).toBe(false);
  os.readError = UNREADABLE;
  expect(tree.rootIsThere).toBeUndefined();
  plant({}, 'darwin');
  expect(tree.rootIsThere).toBeUndefined();
});
