import { beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeOs, type FakeProcess, HOST_PID, UNKILLABLE } from '../../../kit/fake-os.ts';
import type { Platform } from '../../../src/os/os.ts';
import type { LadderOptions } from '../../../src/tree/ladder.ts';
import {
  type EndOptions,
  Termination,
  type TerminationOutcome,
  type TerminationTarget,
} from '../../../src/tree/termination.ts';
import { ProcessTree } from '../../../src/tree/tracked-tree.ts';

const LADDER: LadderOptions = { stdinEofMs: 2000, termMs: 5000, killMs: 1000 };
const COOKIE = 'o1.r1';
/** Ignores everything but SIGKILL. */
const STUBBORN = { SIGTERM: 'ignore' } as const;

let os: FakeOs;
let root: FakeProcess;
let tree: ProcessTree;
let target: TerminationTarget;

/** Adds the root of a tree to the table, and returns its tree and target to the test. */
function plant(process: Partial<FakeProcess> = {}, platform?: Platform): void {
  os = new FakeOs(platform);
  root = os.add({ cookie: COOKIE, ...process });
  const { pid, startTime } = root;
  tree = new ProcessTree(os, { pid, startTime, leadsGroup: true, held: true, cookie: COOKIE });
  target = {
    tree,
    running: () => os.alive.includes(pid) && os.get(pid).startTime === startTime,
    endStdin: () => os.endStdin(pid),
    stdinEndedAtMs: undefined,
  };
}

const begin = (options: EndOptions = {}): Termination =>
  new Termination(os, target, LADDER, options);
const end = (options: EndOptions = {}): Promise<TerminationOutcome> =>
  os.clock.until(begin(options).done);
const pids = ({ survivors }: TerminationOutcome) => survivors.map(({ pid }) => pid);

beforeEach(() => plant());

describe('the ladder', () => {
  it('goes down step by step, each as long as it may take, and confirms the exit', async () => {
    plant({ on: STUBBORN });
    expect(await end()).toEqual({ survivors: [], forced: true });
    expect(os.timeline).toEqual([
      `0 EOF ${root.pid}`,
      `2000 SIGTERM -${root.pid}`,
      `7000 SIGKILL -${root.pid}`,
    ]);
    expect(os.alive).toEqual([]);
  });

  it.each([
    ['stdin', { EOF: 'die' }, ['0 EOF 100']],
    ['stdin, later', { EOF: { dieAfterMs: 1500 } }, ['0 EOF 100']],
    ['SIGTERM', {}, ['0 EOF 100', '2000 SIGTERM -100']],
    ['SIGTERM, later', { SIGTERM: { dieAfterMs: 4900 } }, ['0 EOF 100', '2000 SIGTERM -100']],
  ] as const)('stops where %s was enough', async (_what, on, timeline) => {
    plant({ on });
    expect(await end()).toEqual({ survivors: [], forced: false });
    expect(os.timeline).toEqual(timeline);
  });

  it('does not wait longer than necessary', async () => {
    plant({ on: { EOF: { dieAfterMs: 1500 }, SIGTERM: 'ignore' } });
    const ending = begin();
    await os.clock.advance(1500);
    ending.wake();
    await os.clock.settle();
    await expect(Promise.race([ending.done, 'not yet'])).resolves.toMatchObject({ survivors: [] });
  });

  it('sends nothing to a tree that is dead already', async () => {
    os.die(root.pid);
    expect(await end()).toEqual({ survivors: [], forced: false });
    expect(os.log).toEqual([]);
  });

  it('ends by SIGTERM the processes that the end of stdin has left', async () => {
    plant({ on: { EOF: 'die' } });
    const left = os.fork(root.pid);
    await end();
    expect(os.received(left)).toEqual(['SIGTERM']);
    expect(os.alive).toEqual([]);
  });

  it('counts a zombie as dead', async () => {
    plant({
      on: {
        SIGTERM: () => {
          os.get(root.pid).alive = false;
        },
      },
    });
    expect(await end()).toEqual({ survivors: [], forced: false });
    expect(os.log).not.toContain(`SIGKILL -${root.pid}`);
  });

  it('leaves no timer behind', async () => {
    plant({ on: STUBBORN });
    await end();
    expect(os.clock.timers).toEqual([]);
  });

  it('keeps the host alive while it goes down', async () => {
    plant({ on: STUBBORN });
    begin();
    await os.clock.advance(3000);
    expect(os.clock.timers).toMatchObject([{ keepAlive: true }]);
  });
});

describe('an end of its own', () => {
  const run = (more: Partial<LadderOptions>) =>
    os.clock.until(new Termination(os, target, { ...LADDER, ...more }, {}).done);

  it('sends the stop signal that was asked for, once, and SIGKILL after it', async () => {
    plant({ on: { SIGINT: 'ignore' } });
    await run({ stopSignal: 'SIGINT' });
    expect(os.timeline).toEqual([
      `0 EOF ${root.pid}`,
      `2000 SIGINT -${root.pid}`,
      `7000 SIGKILL -${root.pid}`,
    ]);
  });

  it('signals the leader first, and the others once it has exited', async () => {
    plant({ on: { SIGTERM: { dieAfterMs: 1000 } } });
    const child = os.add({ ppid: root.pid, pgid: root.pgid, cookie: COOKIE });
    const ending = new Termination(os, target, { ...LADDER, signalFirst: 'leader' }, {});
    await os.clock.advance(3001);
    // Its handle has told the exit.
    ending.wake();
    expect(await os.clock.until(ending.done)).toEqual({ survivors: [], forced: false });
    const [, first, second] = os.timeline;
    expect(first).toBe(`2000 SIGTERM ${root.pid}`);
    expect(second).toMatch(new RegExp(`^30\\d\\d SIGTERM -?(${root.pid}|${child.pid})$`));
  });

  it('gives the others their time after a leader that does not exit, and signals it once', async () => {
    plant({ on: STUBBORN });
    const child = os.add({ ppid: root.pid, pgid: root.pgid, cookie: COOKIE, on: STUBBORN });
    await run({ signalFirst: 'leader' });
    expect(os.timeline).toEqual([
      `0 EOF ${root.pid}`,
      `2000 SIGTERM ${root.pid}`,
      `7000 SIGTERM ${child.pid}`,
      `12000 SIGKILL -${root.pid}`,
    ]);
  });
});

describe('the wait for exits', () => {
  const LATER = { SIGTERM: { dieAfterMs: 200 } } as const;

  /** The times at which a process was polled, counted from SIGTERM. */
  function asked(): number[] {
    const atMs: number[] = [];
    const isAlive = tree.isAlive.bind(tree);
    vi.spyOn(tree, 'isAlive').mockImplementation((member) => {
      atMs.push(os.clock.monotonicMs() - LADDER.stdinEofMs);
      return isAlive(member);
    });
    return atMs;
  }

  it('counts the time for which stdin has been closed already', async () => {
    os.clock.advance(5000);
    target = { ...target, stdinEndedAtMs: os.clock.monotonicMs() - 1500 };
    const beganMs = os.clock.monotonicMs();
    await end();
    expect(os.timeline.at(-1)).toBe(`${beganMs + 500} SIGTERM -${root.pid}`);
  });

  it('does not poll a held child before its exit is reported', async () => {
    plant({ on: LATER });
    const atMs = asked();
    const ending = begin();
    await os.clock.advance(LADDER.stdinEofMs + 199);
    expect(atMs).toEqual([]);
    await os.clock.advance(1);
    ending.wake();
    await os.clock.settle();
    await expect(Promise.race([ending.done, 'not yet'])).resolves.toMatchObject({ survivors: [] });
  });

  it('takes a new snapshot after a while, even if the held child is the only known member', async () => {
    plant({ on: STUBBORN });
    begin();
    await os.clock.advance(LADDER.stdinEofMs);
    const late = os.fork(root.pid, { on: STUBBORN });
    await os.clock.advance(249);
    expect(os.received(late)).toEqual([]);
    await os.clock.advance(1);
    expect(os.received(late)).toEqual(['SIGTERM']);
  });

  it('polls the other members with growing pauses, none of them long', async () => {
    const child = os.fork(root.pid, { on: { SIGTERM: { dieAfterMs: 120 } } });
    const atMs = asked();
    await end();
    expect(os.alive).not.toContain(child.pid);
    const times = [...new Set(atMs)];
    const pausesMs = times.slice(1).map((ms, index) => ms - (times[index] ?? 0));
    expect(pausesMs[0]).toBe(1);
    expect(pausesMs).toEqual(pausesMs.toSorted((one, other) => one - other));
    expect(Math.max(...pausesMs)).toBe(25);
    expect(os.clock.monotonicMs()).toBeLessThanOrEqual(LADDER.stdinEofMs + 120 + 25);
  });

  it('does not end with the first of several exits', async () => {
    const slow = os.fork(root.pid, { on: { SIGTERM: { dieAfterMs: 100 } } });
    os.fork(root.pid, { on: { SIGTERM: { dieAfterMs: 10 } } });
    const looks: number[] = [];
    os.afterLook = () => looks.push(os.clock.monotonicMs() - LADDER.stdinEofMs);
    await end();
    expect(os.alive).not.toContain(slow.pid);
    expect(looks.filter((ms) => ms > 0 && ms < 100)).toEqual([]);
  });

  it('takes a snapshot after each longer pause where only snapshots can tell', async () => {
    plant({ on: { SIGTERM: { dieAfterMs: 150 } } }, 'darwin');
    target = { ...target, running: () => true };
    tree.root.held = false;
    const { survivors } = await end();
    expect(survivors).toEqual([]);
    expect(os.clock.monotonicMs()).toBe(LADDER.stdinEofMs + 200);
  });
});

describe('the targets of signals', () => {
  it('SIGTERM goes once to each process, however often it is seen', async () => {
    plant({ on: STUBBORN });
    const others = [
      os.fork(root.pid, { on: STUBBORN }),
      os.add({ ppid: 1, cookie: COOKIE, on: STUBBORN }),
      os.fork(root.pid, { pgid: 777, sid: 777, on: STUBBORN }),
    ];
    const looks = os.looks;
    await end();
    expect(os.looks - looks).toBeGreaterThan(10);
    expect(os.received(root)).toEqual(['EOF', 'SIGTERM', 'SIGKILL']);
    for (const other of others) expect(os.received(other)).toEqual(['SIGTERM', 'SIGKILL']);
  });

  it('SIGTERM goes also to a process that joins later, and once', async () => {
    plant({ on: STUBBORN });
    begin();
    await os.clock.advance(3000);
    const late = os.fork(root.pid, { on: STUBBORN });
    await os.clock.advance(3000);
    expect(os.received(late)).toEqual(['SIGTERM']);
    expect(os.received(root)).toEqual(['EOF', 'SIGTERM']);
  });

  it('no step signals a process outside the tree', async () => {
    plant({ on: STUBBORN });
    const strangers = [
      os.add({ command: 'stranger' }),
      os.add({ command: 'stranger', cookie: 'o1.r2' }),
      os.add({ command: 'kept', ppid: root.pid, cookie: `${COOKIE}/o2.r1.kept` }),
    ];
    await end();
    for (const stranger of strangers) expect(os.received(stranger)).toEqual([]);
    expect(os.alive).toEqual(strangers.map(({ pid }) => pid));
  });

  it('a group is signalled as a whole only while no stranger is in it', async () => {
    plant({ on: STUBBORN });
    const kept = os.fork(root.pid, { cookie: `${COOKIE}/o2.r1.kept` });
    const child = os.fork(root.pid, { on: STUBBORN });
    await end();
    expect(os.received(kept)).toEqual([]);
    expect(os.received(child)).toEqual(['SIGTERM', 'SIGKILL']);
    expect(os.log.filter((line) => line.includes(' -'))).toEqual([]);
  });

  it('each process is signalled by itself where its group is denied', async () => {
    plant({ on: STUBBORN });
    os.groupsDenied = true;
    const child = os.fork(root.pid, { on: STUBBORN });
    expect(await end()).toEqual({ survivors: [], forced: true });
    expect(os.received(child)).toEqual(['SIGTERM', 'SIGKILL']);
  });
});

describe('between the snapshot and the signal', () => {
  /** Once, after the next snapshot: the process dies, and its pid goes to a stranger. */
  function recycleAfterNextLook(old: FakeProcess, stranger: Partial<FakeProcess> = {}): void {
    os.afterLook = () => {
      os.afterLook = undefined;
      os.die(old.pid);
      os.add({ pid: old.pid, ppid: 1, command: 'stranger', ...stranger });
    };
  }

  it.each([
    ['SIGTERM', false],
    ['SIGKILL', true],
  ])('a pid that has gone to a stranger gets no %s', async (_signal, force) => {
    recycleAfterNextLook(root);
    expect(await end({ force })).toEqual({ survivors: [], forced: force });
    const stranger = os.get(root.pid);
    expect(stranger).toMatchObject({ command: 'stranger', alive: true });
    expect(os.received(stranger)).toEqual([]);
  });

  it("a descendant's pid that has gone to a stranger gets nothing, neither alone nor by its group", async () => {
    os.add({ pid: 300, ppid: 1, command: 'stranger' });
    const alone = os.fork(root.pid, { pgid: 300, sid: 300 });
    const strangerInGroup = os.add({ pid: 301, pgid: 300, sid: 300, command: 'stranger' });
    const leader = os.fork(root.pid, { pid: 400, pgid: 400, sid: 400 });
    os.afterLook = () => {
      os.afterLook = undefined;
      for (const { pid } of [alone, leader]) {
        os.die(pid);
        os.add({ pid, ppid: 1, command: 'stranger' });
      }
    };
    await end({ force: true });
    for (const pid of [alone.pid, leader.pid]) {
      expect(os.received(os.get(pid))).toEqual([]);
    }
    expect(os.received(strangerInGroup)).toEqual([]);
    expect(os.received(root)).toEqual(['SIGKILL']);
  });

  it("a group whose members have left for groups of their own gets nothing: its id may be a stranger's", async () => {
    const member = os.fork(root.pid, { pid: 401, pgid: 400, sid: 400 });
    os.afterLook = () => {
      os.afterLook = undefined;
      member.pgid = member.sid = member.pid;
      os.add({ pid: 400, ppid: 1, command: 'stranger' });
    };
    await end({ force: true });
    expect(os.received(os.get(400))).toEqual([]);
    expect(os.alive).toEqual([400]);
  });

  it('negative control: without the reuse the same snapshots do lead to signals', async () => {
    await end({ force: true });
    expect(os.received(root)).toEqual(['SIGKILL']);
  });

  it('an id that a stranger has taken while the ladder waited is never signalled', async () => {
    plant({ on: STUBBORN });
    const child = os.add({ ppid: 1, cookie: COOKIE, on: STUBBORN });
    const ending = begin();
    await os.clock.advance(3000);
    for (const { pid } of [child, root]) {
      os.die(pid);
      os.add({ pid, ppid: 1, command: 'stranger' });
    }
    expect(await os.clock.until(ending.done)).toEqual({ survivors: [], forced: false });
    for (const { pid } of [child, root]) expect(os.received(os.get(pid))).toEqual([]);
  });
});

describe('a tree that forks while it is ended', () => {
  /** Forks a child at the moment of each signal, for this many generations. */
  function forksWhenSignalled(generations: number): FakeProcess['on'] {
    const bear = (parent: () => FakeProcess, left: number): FakeProcess['on'] => {
      const fork = (die: boolean) => () => {
        const { pid } = parent();
        if (left > 0) {
          const child = os.fork(pid, { pgid: 5000 + left, sid: 5000 + left, cookie: undefined });
          child.on = bear(() => child, left - 1);
        }
        if (die) os.die(pid, null, 'SIGKILL');
      };
      return { SIGTERM: fork(false), SIGKILL: fork(true) };
    };
    return bear(() => root, generations);
  }

  it('leaves nothing', async () => {
    plant();
    root.on = forksWhenSignalled(12);
    expect(await end()).toEqual({ survivors: [], forced: true });
    expect(os.alive).toEqual([]);
  });

  it('leaves nothing if a child was missed by the snapshot in which its parent died', async () => {
    plant({ on: STUBBORN });
    let missed: FakeProcess | undefined;
    os.afterLook = () => {
      if (missed !== undefined || !os.log.some((line) => line.startsWith('SIGKILL'))) return;
      // Born after its part of the table was read, and an orphan at once.
      missed = os.add({ ppid: 1, cookie: COOKIE });
    };
    expect(await end()).toMatchObject({ survivors: [] });
    expect(missed).toBeDefined();
    expect(os.alive).toEqual([]);
  });
});

describe('a tree that keeps forking whatever happens', () => {
  /** At each snapshot the last process has died and the next one lives: nobody is caught. */
  function chain(): readonly number[] {
    const looksAtMs: number[] = [];
    const link = () => os.add({ ppid: 1, cookie: COOKIE, on: UNKILLABLE });
    let last = link();
    os.afterLook = () => {
      looksAtMs.push(os.clock.monotonicMs());
      os.clock.advanceInOneTick(3);
      os.die(last.pid);
      last = link();
    };
    return looksAtMs;
  }

  it.each([
    [{ deadlineMs: 1500 }, 1500],
    [{ force: true }, 1000],
    [{ deadlineMs: 0 }, 0],
  ])('has survivors at the deadline instead of running forever: %j', async (options, atMs) => {
    chain();
    os.die(root.pid);
    target = { ...target, running: () => false };
    const { survivors } = await end(options);
    expect(survivors).not.toEqual([]);
    expect(os.clock.monotonicMs()).toBeLessThanOrEqual(atMs + 30);
  });

  it('gets snapshots with pauses while it is asked politely', async () => {
    const looksAtMs = chain();
    os.die(root.pid);
    target = { ...target, running: () => false };
    await end();
    const polite = looksAtMs.filter((atMs) => atMs < LADDER.termMs);
    expect(polite.length).toBeLessThan(300);
    // Not so when it is killed: then each snapshot may catch it.
    expect(looksAtMs.length - polite.length).toBeGreaterThan(300);
  });
});

describe('an unkillable process', () => {
  beforeEach(() => plant({ on: UNKILLABLE }));

  it('is reported as a survivor at the end of the ladder', async () => {
    const child = os.fork(root.pid);
    const outcome = await end();
    expect(pids(outcome)).toEqual([root.pid]);
    expect(outcome).toMatchObject({ forced: true });
    expect(os.clock.monotonicMs()).toBe(8000);
    expect(os.alive).not.toContain(child.pid);
  });

  it.each([
    [{ deadlineMs: 3000 }, 3000],
    [{ deadlineMs: 200 }, 200],
    [{ deadlineMs: 0 }, 0],
    [{ force: true }, 1000],
    [{ force: true, deadlineMs: 400 }, 400],
    [{ deadlineMs: 60_000 }, 8000],
  ])('is reported within the deadline: %j', async (options, atMs) => {
    expect(pids(await end(options))).toEqual([root.pid]);
    expect(os.clock.monotonicMs()).toBe(atMs);
    expect(os.received(root)).toContain('SIGKILL');
  });

  it('gets SIGKILL again and again while there is time', async () => {
    await end({ force: true });
    expect(os.received(root).length).toBeGreaterThan(2);
    expect(new Set(os.received(root))).toEqual(new Set(['SIGKILL']));
  });

  it('is no survivor if it dies after all', async () => {
    const ending = begin();
    await os.clock.advance(7500);
    os.die(root.pid);
    expect(pids(await os.clock.until(ending.done))).toEqual([]);
  });
});

describe('a later, stricter request', () => {
  beforeEach(() => plant({ on: UNKILLABLE }));

  it.each([
    ['in the wait for stdin', 500],
    ['in the wait after SIGTERM', 3000],
  ])('with force %s sends SIGKILL at once', async (_what, atMs) => {
    const ending = begin();
    await os.clock.advance(atMs);
    ending.hurry({ force: true });
    await os.clock.settle();
    expect(os.timeline.at(-1)).toMatch(new RegExp(`^${atMs} SIGKILL`));
    await os.clock.until(ending.done);
    expect(os.clock.monotonicMs()).toBe(atMs + LADDER.killMs);
  });

  it.each([
    ['a deadline that leaves time for SIGTERM', 2500, [2000, 4000], 5000],
    ['a deadline for SIGKILL only', 800, [2500, 2500], 3300],
    ['a deadline of zero', 0, [2500, 2500], 2500],
  ])('%s', async (_what, deadlineMs, [termMs, killMs], endMs) => {
    const ending = begin();
    await os.clock.advance(2500);
    ending.hurry({ deadlineMs });
    await os.clock.until(ending.done);
    const at = (signal: string) =>
      Number.parseInt(os.timeline.find((line) => line.includes(signal)) ?? '', 10);
    expect(at('SIGTERM')).toBe(Math.min(termMs as number, 2000));
    expect(at('SIGKILL')).toBe(killMs);
    expect(os.clock.monotonicMs()).toBe(endMs);
  });

  it('never makes the end later', async () => {
    const ending = begin({ deadlineMs: 3000 });
    await os.clock.advance(100);
    ending.hurry({ deadlineMs: 60_000 });
    ending.hurry({});
    await os.clock.until(ending.done);
    expect(os.clock.monotonicMs()).toBe(3000);
  });
});

describe('where the process table cannot be read', () => {
  it('ends the held root, and calls no other member dead', async () => {
    plant({ on: UNKILLABLE });
    os.lookError = os.readError = new Error('EMFILE');
    const outcome = await end({ deadlineMs: 2000 });
    expect(pids(outcome)).toEqual([root.pid]);
    expect(os.received(root)).toContain('SIGKILL');
  });

  it('continues when it can be read again', async () => {
    plant({ on: STUBBORN });
    os.lookError = new Error('EMFILE');
    const ending = begin();
    await os.clock.advance(3000);
    os.lookError = undefined;
    expect(await os.clock.until(ending.done)).toEqual({ survivors: [], forced: true });
  });

  it('signals the group that the root leads, and no other one', async () => {
    plant({ on: UNKILLABLE });
    // A child that no snapshot has shown yet: it must be signalled although nothing can be read.
    const child = os.fork(root.pid);
    os.lookError = new Error('EMFILE');
    await end({ force: true });
    expect(os.received(child)).toEqual(['SIGKILL']);
  });

  it('signals no group that an adopted process shares with the host', async () => {
    const adopted = os.fork(HOST_PID, { on: UNKILLABLE });
    const { pid, startTime } = adopted;
    tree = new ProcessTree(os, { pid, startTime, leadsGroup: false, held: false, cookie: 'o1.r7' });
    target = { ...target, tree, running: () => true };
    expect((await tree.liveMembers()).map((member) => member.pid)).toEqual([pid]);
    os.lookError = new Error('EMFILE');
    await end({ force: true });
    expect(os.received(adopted)).toContain('SIGKILL');
    expect(os.log.filter((line) => line.includes(' -'))).toEqual([]);
    expect(os.received(os.get(HOST_PID))).toEqual([]);
  });

  it('signals no descendant that it cannot prove', async () => {
    plant({ on: UNKILLABLE });
    const child = os.fork(root.pid, { pgid: 300, sid: 300, on: UNKILLABLE });
    expect((await tree.liveMembers()).map(({ pid }) => pid)).toEqual([root.pid, child.pid]);
    os.lookError = os.readError = new Error('EMFILE');
    const outcome = await end({ force: true });
    expect(os.received(child)).toEqual([]);
    expect(pids(outcome).sort()).toEqual([root.pid, child.pid]);
  });
});
