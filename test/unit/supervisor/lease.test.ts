import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../../../kit/fake-clock.ts';
import { FakeSupervision } from '../../../kit/fake-supervisor.ts';
import { superviseQuery } from '../../../src/claude/index.ts';
import type { SupervisedProcess } from '../../../src/index.ts';
import { Slot } from '../../../src/policy/slot.ts';
import { SlotLease } from '../../../src/supervisor/lease.ts';

const UNUSED_MS = 60_000;

/** A process as a lease sees it, and its end in the test's hands. */
function fakeProcess() {
  const { promise: exited, resolve } = Promise.withResolvers<void>();
  let slot: Slot | undefined;
  const process = {
    exited,
    terminated: 0,
    async terminate() {
      process.terminated++;
      await exited;
    },
    /** The tree is seen dead. */
    die() {
      slot?.release();
      resolve();
    },
    holds(held: Slot) {
      slot = held;
      return process;
    },
  };
  return process;
}

type FakeLeased = ReturnType<typeof fakeProcess>;

function rig(
  start: (slot: Slot) => FakeLeased = (slot) => fakeProcess().holds(slot),
  unusedMs: number | null = UNUSED_MS,
) {
  const clock = new FakeClock();
  const log: string[] = [];
  const lease = new SlotLease({
    slot: new Slot(() => log.push('slot released')),
    sessionId: 'session',
    supervisor: {},
    clock,
    unusedMs,
    spawn: ({ command }, slot) => {
      log.push(`spawn ${command}`);
      return start(slot) as unknown as SupervisedProcess;
    },
    hook: () => (_, slot) => {
      log.push('spawn of a hook');
      return start(slot) as unknown as SupervisedProcess;
    },
    launch: () => Promise.reject(new Error('not here')),
    adopt: () => Promise.reject(new Error('not here')),
    expired: () => log.push('expired'),
    released: () => log.push('released'),
  });
  const spawn = (command: string) => lease.spawn({ command }) as unknown as FakeLeased;
  const hook = lease.spawnHook();
  const spawnOfHook = () => hook({ command: 'claude', args: [] }) as unknown as FakeLeased;
  return { clock, lease, log, spawn, spawnOfHook };
}

describe('Lease', () => {
  it('starts one process after another on its slot', () => {
    const { log, spawn } = rig();
    for (const request of ['a', 'b']) spawn(request).die();
    expect(log).toEqual(['spawn a', 'spawn b']);
  });

  it('starts no second one while one lives', () => {
    const { log, spawn } = rig();
    spawn('a');
    expect(() => spawn('b')).toThrow(
      expect.objectContaining({
        code: 'INVALID_OPTIONS',
        message: expect.stringMatching(/holds a live process.*exited/),
      }),
    );
    expect(log).toEqual(['spawn a']);
  });

  it('starts nothing once it is released', () => {
    const { lease, log, spawn } = rig();
    lease.release();
    expect(() => spawn('a')).toThrow(
      expect.objectContaining({
        code: 'INVALID_OPTIONS',
        message: expect.stringMatching(/has been released.*acquire another/),
      }),
    );
    expect(log).toEqual(['slot released', 'released']);
  });

  it('starts the processes of its hook on its slot, one at a time', () => {
    const { lease, log, spawn, spawnOfHook } = rig();
    const one = spawnOfHook();
    expect(spawnOfHook).toThrow(/^lease\.spawnHook: the lease still holds a live process/);
    expect(() => spawn('a')).toThrow(/^lease\.spawn: the lease still holds a live process/);
    one.die();
    const other = spawn('b');
    expect(spawnOfHook).toThrow(/still holds a live process/);
    lease.release();
    other.die();
    expect(spawnOfHook).toThrow(/^lease\.spawnHook: the lease has been released/);
    expect(log).toEqual(['spawn of a hook', 'spawn b', 'slot released', 'released']);
  });

  it('gives its slot back at once when it is unused, and once only', () => {
    const { lease, log, clock } = rig();
    lease.release();
    lease.release();
    expect(log).toEqual(['slot released', 'released']);
    expect(clock.timers).toEqual([]);
  });

  it("gives its slot back at its process's death when it is used", () => {
    const { lease, log, spawn } = rig();
    const process = spawn('a');
    lease.release();
    lease.release();
    expect(log).toEqual(['spawn a']);
    expect(process.terminated).toBe(0);
    process.die();
    expect(log).toEqual(['spawn a', 'slot released', 'released']);
  });

  it('keeps its slot after a failed start, told at once or later', async () => {
    const starts = [
      (slot: Slot) => {
        slot.release();
        return fakeProcess();
      },
      (slot: Slot) => fakeProcess().holds(slot),
    ];
    const { log, spawn } = rig((slot) => (starts.shift() ?? starts[0])?.(slot) ?? fakeProcess());
    spawn('fails at once');
    spawn('fails later').die();
    spawn('runs');
    expect(log).toEqual(['spawn fails at once', 'spawn fails later', 'spawn runs']);
  });

  it('keeps its slot when a spawn throws', () => {
    const { lease, log, spawn } = rig(() => {
      throw new Error('bad request');
    });
    expect(() => spawn('bad')).toThrow('bad request');
    lease.release();
    expect(log).toEqual(['spawn bad', 'slot released', 'released']);
  });

  it('is busy as soon as a start begins: the host may come back in the middle of it', () => {
    const { lease, log, spawn } = rig((slot) => {
      // As `onSpawn` can.
      expect(() => spawn('again')).toThrow(/holds a live process/);
      lease.release();
      return fakeProcess().holds(slot);
    });
    const process = spawn('a');
    expect(log).toEqual(['spawn a']);
    process.die();
    expect(log).toEqual(['spawn a', 'slot released', 'released']);
  });

  describe('left unused', () => {
    it('is released with a warning after its time, counted from the last use', async () => {
      const { log, clock, spawn } = rig();
      await clock.advance(UNUSED_MS - 1);
      const process = spawn('a');
      await clock.advance(10 * UNUSED_MS);
      process.die();
      await clock.advance(UNUSED_MS - 1);
      expect(log).toEqual(['spawn a']);
      await clock.advance(1);
      expect(log).toEqual(['spawn a', 'slot released', 'released', 'expired']);
      expect(() => spawn('b')).toThrow(/has been released/);
    });

    it('stays for ever where it was asked to', async () => {
      const { log, clock, spawn } = rig(undefined, null);
      spawn('a').die();
      expect(clock.timers).toEqual([]);
      await clock.advance(1000 * UNUSED_MS);
      expect(log).toEqual(['spawn a']);
    });

    it('does not keep a host alive', () => {
      const { clock } = rig();
      expect(clock.timers).toEqual([{ inMs: UNUSED_MS, keepAlive: false }]);
    });

    it('goes on counting after a failed start', async () => {
      const { log, clock, spawn } = rig((slot) => {
        slot.release();
        return fakeProcess();
      });
      spawn('fails');
      expect(clock.timers).toHaveLength(1);
      await clock.advance(UNUSED_MS);
      expect(log).toContain('expired');
    });
  });

  it('ends its process when it is disposed, and waits for that end', async () => {
    const { lease, log, spawn } = rig();
    const process = spawn('a');
    let disposed = false;
    const disposing = lease[Symbol.asyncDispose]().then(() => {
      disposed = true;
    });
    expect(process.terminated).toBe(1);
    await Promise.resolve();
    expect(disposed).toBe(false);
    process.die();
    await disposing;
    expect(log).toEqual(['spawn a', 'slot released', 'released']);
  });

  it('is released by `await using`', async () => {
    const { lease, log } = rig();
    {
      await using held = lease;
      expect(held.sessionId).toBe('session');
    }
    expect(log).toEqual(['slot released', 'released']);
  });
});

describe('a lease of a full pool', () => {
  const SDK = { command: 'claude', args: ['--verbose'] };
  let fake: FakeSupervision;

  beforeEach(() => {
    fake = new FakeSupervision({ pool: { concurrency: 1, waitTimeoutMs: UNUSED_MS } });
  });
  afterEach(() => fake[Symbol.dispose]());

  const acquire = (options: object = {}) => fake.until(fake.supervisor.acquire(options));
  const refusal = (options: object) =>
    fake.until(fake.supervisor.acquire(options).catch((error: unknown) => error));

  it('starts what its hook is asked for at once, as an agent of its session', async () => {
    const lease = await acquire({ sessionId: 's' });
    const process = lease.spawnHook({ kind: 'writer' })(SDK);
    expect(fake.supervisor.list()).toMatchObject([
      { id: process.id, kind: 'writer', sessionId: 's', holdsSlot: true },
    ]);
    expect(fake.os.launches[0]?.env).toMatchObject({ CLAUDE_CODE_DISABLE_AGENT_VIEW: '1' });
    expect(await refusal({ timeoutMs: 10 })).toMatchObject({ code: 'POOL_TIMEOUT' });
    // A hook of the supervisor's waits meanwhile.
    fake.supervisor.spawnHook()(SDK);
    expect(fake.os.launches).toHaveLength(1);
  });

  it('refuses to do without its slot, and is free for the next', async () => {
    const lease = await acquire();
    const refused = { code: 'INVALID_OPTIONS', data: { field: 'slot', value: false } };
    const request = { command: 'a', slot: false };
    expect(() => lease.spawn(request)).toThrow(expect.objectContaining(refused));
    const query = Object.assign(async function* () {}, {}) as never;
    for (const hook of [
      () => lease.spawnHook({ slot: false }),
      () => superviseQuery(query, { lease, supervisor: fake.supervisor, slot: false }),
    ])
      expect(hook).toThrow(expect.objectContaining(refused));
    expect(lease.spawn({ command: 'a', slot: true }).pid).toBeDefined();
  });

  it('ends the process of its hook when it is disposed', async () => {
    const lease = await acquire();
    const process = lease.spawnHook()(SDK);
    await fake.until(lease[Symbol.asyncDispose]());
    expect(await process.exited).toMatchObject({ cause: 'terminated' });
    (await acquire()).release();
  });

  it.each([
    [{ kind: 5 }, /^spawnHook: "kind" is 5/],
    [{ command: 'claude' }, /^spawnHook: "command" is .*must be left out/],
    [{ maxWallClockMs: 5 }, /"maxWallClockMs" is 5, but must come with a sessionId/],
    [5, /^spawnHook: "options" is 5/],
  ])('refuses %j as the defaults of its hook', async (defaults, message) => {
    const lease = await acquire();
    expect(() => lease.spawnHook(defaults as never)).toThrow(message);
    lease.spawnHook()(SDK);
    expect(fake.os.launches).toHaveLength(1);
  });

  it.each([
    ['its own time', { unusedMs: 5000 }, 5000],
    ['the pool’s', {}, UNUSED_MS],
    ['the pool’s, where its own is left out', { unusedMs: undefined }, UNUSED_MS],
  ])('lies unused for %s', async (_, options, unusedMs) => {
    await acquire(options);
    await fake.os.clock.advance(unusedMs - 1);
    expect(fake.eventsOf('warning')).toEqual([]);
    await fake.os.clock.advance(1);
    expect(fake.eventsOf('warning')).toMatchObject([
      { code: 'LEASE_UNUSED', message: expect.stringContaining(`${unusedMs} ms`) },
    ]);
    (await acquire()).release();
  });

  it('lies unused for ever, until its session is reaped', async () => {
    await acquire({ sessionId: 's', unusedMs: null });
    await fake.os.clock.advance(100 * UNUSED_MS);
    expect(await refusal({ timeoutMs: 10 })).toMatchObject({ code: 'POOL_TIMEOUT' });
    await fake.until(fake.supervisor.reapSession('s'));
    (await acquire()).release();
  });

  it.each([-1, 'x', Number.NaN])('is not granted with unusedMs %s', async (unusedMs) => {
    expect(await refusal({ unusedMs })).toMatchObject({
      code: 'INVALID_OPTIONS',
      message: expect.stringMatching(/^acquire: "unusedMs" is /),
    });
  });

  it.each([
    ['no lease', () => ({ lease: {} }), 'but must be a lease, as supervisor.acquire() gives it'],
    [
      'a supervisor',
      ({ supervisor }: FakeSupervision) => ({ lease: supervisor }),
      'must be a lease',
    ],
  ])('superviseQuery refuses %s as one', (_, options, message) => {
    const query = () => Promise.reject() as never;
    expect(() => superviseQuery(query, options(fake) as never)).toThrow(message);
  });

  it('superviseQuery refuses one of another supervisor', async () => {
    const lease = await acquire();
    using other = new FakeSupervision();
    const query = () => Promise.reject() as never;
    expect(() => superviseQuery(query, { lease, supervisor: other.supervisor })).toThrow(
      expect.objectContaining({
        code: 'INVALID_OPTIONS',
        message: expect.stringMatching(/"lease" is of another supervisor.*Leave "supervisor" out/),
        data: { field: 'lease' },
      }),
    );
    expect(() => superviseQuery(query, { lease, supervisor: fake.supervisor })).not.toThrow();
  });
});
