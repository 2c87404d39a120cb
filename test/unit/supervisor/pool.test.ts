// The pool at run time, on a clock that stands still.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeSupervision } from '../../../kit/fake-supervisor.ts';
import type { SupervisedProcess, SupervisorOptions } from '../../../src/index.ts';

let fake: FakeSupervision;

const setUp = (pool: SupervisorOptions['pool'] = {}): void => {
  fake?.[Symbol.dispose]();
  fake = new FakeSupervision({ pool, guardian: false });
};
beforeEach(() => setUp());
afterEach(() => fake[Symbol.dispose]());

const launched = () => fake.os.launches.map(({ command }) => command);
const refusalOf = async ({ exited }: SupervisedProcess) => (await fake.until(exited)).error;
const message = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    return (error as Error).message;
  }
  return 'no error';
};

/** Spawns a process for each of these names. */
const spawn = (...names: string[]): SupervisedProcess[] =>
  names.map((name) => {
    const process = fake.spawn(name);
    process.stdout.resume();
    return process;
  });

async function end(process: SupervisedProcess | undefined): Promise<void> {
  if (process?.pid === undefined) throw new Error('it does not run');
  fake.os.die(process.pid);
  await fake.until(process.exited);
  await fake.os.clock.settle();
}

describe('the figures of the pool', () => {
  it('say how full it is, and how long the oldest request has waited', async () => {
    const { pool } = fake.supervisor;
    expect(pool).toMatchObject({ concurrency: 2, hardCap: 10, running: 0, waiting: 0 });
    expect([pool.oldestWaitMs, pool.paused, pool.queue, pool.keys]).toEqual([
      ...[undefined, undefined, [], []],
    ]);
    spawn('a', 'b', 'c');
    await fake.os.clock.advance(1000);
    spawn('d');
    expect(pool).toMatchObject({ running: 2, waiting: 2, oldestWaitMs: 1000 });
    expect(pool.queue).toEqual(
      [1000, 0].map((waitedMs) => ({
        ...{ sessionId: undefined, kind: 'agent', priority: 0, keys: [], waitedMs },
        waitsFor: { cause: 'slot', name: undefined },
      })),
    );
  });
});

describe('resize', () => {
  it('lets more start at once, and fewer once enough have ended', async () => {
    const processes = spawn('a', 'b', 'c', 'd', 'e');
    fake.supervisor.pool.resize({ concurrency: 4 });
    await fake.os.clock.settle();
    expect(launched()).toEqual(['a', 'b', 'c', 'd']);
    fake.supervisor.pool.resize({ concurrency: 1 });
    expect(fake.supervisor.pool).toMatchObject({ concurrency: 1, running: 4, waiting: 1 });
    for (const process of processes.slice(0, 3)) await end(process);
    expect(launched()).toHaveLength(4);
    await end(processes[3]);
    expect(launched()).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  it('raises the default hard cap with the pool, and counts all under one that is named', async () => {
    const { pool } = fake.supervisor;
    pool.resize({ concurrency: 12 });
    expect(pool.hardCap).toBe(12);
    pool.resize({ concurrency: 1 });
    expect(pool.hardCap).toBe(10);
    pool.resize({ hardCap: 3 });
    expect(pool).toMatchObject({ concurrency: 1, hardCap: 3 });
    const server = () =>
      fake.supervisor.internals.spawnServer({ command: 's', kind: 'mcp-server', slot: false });
    for (const _ of [1, 2, 3]) await server().started;
    expect(await refusalOf(server())).toMatchObject({ code: 'HARD_CAP', data: { hardCap: 3 } });
  });

  it.each([
    [{ concurrency: 0 }, /pool\.resize: "concurrency" is 0/],
    [{ concurrency: 1.5 }, /pool\.resize: "concurrency" is 1\.5/],
    [{ hardCap: 1 }, /pool\.resize: "hardCap" is 1.*must be at least concurrency/],
    [{ size: 3 }, /pool\.resize: unknown option "size"/],
  ])('refuses %o, and changes nothing', (options, text) => {
    const { pool } = fake.supervisor;
    expect(message(() => pool.resize(options as object))).toMatch(text);
    expect(pool).toMatchObject({ concurrency: 2, hardCap: 10 });
  });

  it('holds until other options for the pool are named', () => {
    const { supervisor } = fake;
    spawn('a');
    supervisor.pool.resize({ concurrency: 5 });
    const options = { stateDir: fake.stateDir, guardian: false };
    supervisor.configure({ ...options, leftovers: 'keep' });
    expect(supervisor.pool.concurrency).toBe(5);
    supervisor.configure({ ...options, pool: { concurrency: 3 } });
    expect(supervisor.pool.concurrency).toBe(3);
  });
});

describe('a pause', () => {
  it('lets nothing start that takes a slot, until resume', async () => {
    const { pool } = fake.supervisor;
    const [a] = spawn('a');
    pool.pause({ reason: 'deploy' });
    spawn('b', 'c', 'd');
    fake.spawn('tool', { kind: 'tool' });
    expect(launched()).toEqual(['a', 'tool']);
    await end(a);
    await fake.os.clock.advance(3_600_000);
    expect(launched()).toEqual(['a', 'tool']);
    expect(pool).toMatchObject({ running: 0, waiting: 3 });
    expect(pool.paused).toEqual({ reason: 'deploy', since: expect.any(Number), until: undefined });
    expect(pool.queue.map(({ waitsFor }) => waitsFor.cause)).toEqual(['pause', 'pause', 'pause']);
    pool.resume();
    pool.resume();
    await fake.os.clock.settle();
    expect(launched()).toEqual(['a', 'tool', 'b', 'c']);
    expect(pool.paused).toBeUndefined();
    expect(fake.eventsOf('pool-paused')).toEqual([{ reason: 'deploy', until: undefined }]);
    expect(fake.eventsOf('pool-resumed')).toEqual([{ reason: 'deploy', pausedMs: 3_600_000 }]);
  });

  it.each([
    ['ms since 1970', (at: number) => at],
    ['a Date', (at: number) => new Date(at)],
  ])('ends by itself at its time of day, given as %s', async (_, time) => {
    const { clock } = fake.os;
    const until = clock.now() + 100_000;
    fake.supervisor.pool.pause({ reason: 'quota', until: time(until) });
    spawn('a');
    expect(fake.supervisor.pool.paused).toMatchObject({ reason: 'quota', until });
    await clock.advance(99_000);
    expect(launched()).toEqual([]);
    await clock.advance(1000);
    expect(launched()).toEqual(['a']);
    expect(fake.eventsOf('pool-resumed')).toHaveLength(1);
  });

  it('ends soon after the time of day, if the clock is set meanwhile', async () => {
    const { clock } = fake.os;
    const until = clock.now() + 3_600_000;
    fake.supervisor.pool.pause({ reason: 'quota', until });
    spawn('a');
    clock.setWall(until + 1);
    await clock.advance(30_000);
    expect(launched()).toEqual(['a']);
  });

  it('takes the place of an earlier one', async () => {
    const { clock } = fake.os;
    const { pool } = fake.supervisor;
    pool.pause({ reason: 'short', until: clock.now() + 1000 });
    pool.pause({ reason: 'long' });
    spawn('a');
    await clock.advance(10_000);
    expect(launched()).toEqual([]);
    expect(pool.paused?.reason).toBe('long');
  });

  it('holds back a lease, which then says why it did not come', async () => {
    fake.supervisor.pool.pause({ reason: 'deploy' });
    const refused = fake.supervisor.acquire({ timeoutMs: 50 }).catch((error) => error);
    expect(await fake.until(refused)).toMatchObject({
      code: 'POOL_TIMEOUT',
      data: { timeoutMs: 50, waitsFor: 'pause' },
      message: expect.stringMatching(/paused.*resume\(\)/),
    });
  });

  it.each([
    [{}, /pool\.pause: "reason"/],
    [{ reason: '' }, /"reason"/],
    [{ reason: 'x', until: 'noon' }, /"until" is "noon".*must be a Date, or a number of ms/],
  ])('refuses %o', (options, text) => {
    expect(message(() => fake.supervisor.pool.pause(options as { reason: string }))).toMatch(text);
  });
});
