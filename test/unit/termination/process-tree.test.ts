import { beforeEach, describe, expect, it } from 'vitest';
import { FakeOs, type FakeProcess } from '../../../kit/fake-os.ts';
import type { Platform } from '../../../src/os/os.ts';
import { ProcessTree } from '../../../src/termination/process-tree.ts';
import type { TreeRoot } from '../../../src/termination/tree.ts';

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

describe('a root that is dead', () => {
  // Where its start time was never told, nothing but our hold says whose the number is.
  beforeEach(() => plant({ startTime: undefined }));

  it('keeps its number for two more looks, in which its group is still ours', async () => {
    const first = inGroup();
    os.die(root.pid);
    tree.letGo();
    expect(await found()).toEqual([first.pid]);
    const second = inGroup();
    os.die(first.pid);
    expect(await found()).toEqual([second.pid]);
  });

  it('has no number any more after them', async () => {
    os.die(root.pid);
    tree.letGo();
    expect(await found()).toEqual([]);
    os.add({ pid: root.pid, ppid: 1, command: 'stranger' });
    expect(await found()).toEqual([]);
  });

  it('keeps its number for as long as nobody has let it go', async () => {
    for (let look = 0; look < 4; look++) expect(await found()).toEqual([root.pid]);
    expect(tree.root.held).toBe(true);
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
