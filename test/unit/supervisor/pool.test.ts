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

describe('keys', () => {
  const PER_KEY = { anthropic: 2, 'repo:*': 1, 'repo:mono:*': 2, 'repo:free': 3 };
  const web = { keys: ['repo:web'] };

  it('let as many run at once as their number says, and those without them pass', async () => {
    setUp({ concurrency: 9, perKey: PER_KEY });
    const first = fake.spawn('a', { keys: ['anthropic', 'repo:web'] });
    first.stdout.resume();
    fake.spawn('b', web);
    fake.spawn('c', { keys: ['repo:api'] });
    fake.spawn('d', { keys: ['anthropic'] });
    fake.spawn('e', { keys: ['anthropic', 'repo:cli'] });
    fake.spawn('f', { keys: ['repo:cli'] });
    fake.spawn('g', { keys: ['other', 'other'] });
    fake.spawn('h');
    expect(launched()).toEqual(['a', 'c', 'd', 'f', 'g', 'h']);
    const { pool } = fake.supervisor;
    expect(pool.queue.map(({ keys, waitsFor }) => [keys, waitsFor])).toEqual([
      [['repo:web'], { cause: 'key', name: 'repo:web' }],
      [['anthropic', 'repo:cli'], { cause: 'key', name: 'anthropic' }],
    ]);
    expect(pool.keys).toEqual([
      { key: 'anthropic', running: 2, limit: 2 },
      { key: 'repo:web', running: 1, limit: 1 },
      { key: 'repo:api', running: 1, limit: 1 },
      { key: 'repo:cli', running: 1, limit: 1 },
      { key: 'other', running: 1, limit: undefined },
    ]);
    await end(first);
    expect(launched()).toEqual(['a', 'c', 'd', 'f', 'g', 'h', 'b']);
    expect(fake.supervisor.list().at(-1)?.keys).toEqual(['repo:web']);
  });

  it.each([
    ['repo:web', 1],
    ['repo:mono:a', 2],
    ['repo:free', 3],
    ['constructor', 5],
  ])('are bounded by their own entry, else by that of the longest beginning: %s', (key, limit) => {
    setUp({ concurrency: 9, perKey: PER_KEY });
    for (let count = 0; count < 5; count++) fake.spawn('a', { keys: [key] });
    expect(launched()).toHaveLength(limit);
  });

  it('of a tool bound it, without a slot', async () => {
    setUp({ concurrency: 1, perKey: { '*': 1 } });
    fake.spawn('agent');
    const [first] = ['a', 'b'].map((name) => {
      const tool = fake.spawn(name, { kind: 'tool', keys: ['db'] });
      tool.stdout.resume();
      return tool;
    });
    expect(launched()).toEqual(['agent', 'a']);
    await end(first);
    expect(launched()).toEqual(['agent', 'a', 'b']);
  });

  it('of a lease are held by it, and shown by what runs on it', async () => {
    setUp({ perKey: { db: 1 } });
    const lease = await fake.until(fake.supervisor.acquire({ keys: ['db'] }));
    const waiting = fake.spawn('waiting', { keys: ['db'] });
    for (const act of [
      () => lease.spawn({ command: 'b', keys: ['x'] }),
      () => lease.spawnHook({ keys: ['x'] }),
    ])
      expect(message(act)).toMatch(/"keys" must be left out.*acquire\(\{ keys \}\)/);
    lease.spawn({ command: 'a' }).stdout.resume();
    expect(launched()).toEqual(['a']);
    expect(fake.supervisor.list()[0]?.keys).toEqual(['db']);
    await fake.until(lease[Symbol.asyncDispose]());
    await fake.until(waiting.started);
  });

  it('of an agent are given through the hook', () => {
    setUp({ concurrency: 3, perKey: { 'repo:*': 1 } });
    const hook = fake.supervisor.spawnHook(web);
    for (const command of ['a', 'b']) hook({ command, args: [] });
    expect(launched()).toEqual(['a']);
  });

  it('end the agent that a conversation replaces, if it holds the one that is waited for', async () => {
    setUp({ concurrency: 5, perKey: { 'repo:*': 1 } });
    const old = fake.spawn('old', { ...web, conversationId: 'c' });
    old.stdout.resume();
    fake.spawn('new', { ...web, conversationId: 'c' });
    await fake.os.clock.advance(10_000);
    expect((await old.exited).cause).toBe('duplicate');
    expect(launched()).toEqual(['old', 'new']);
  });

  it('say who holds them, once a minute', async () => {
    setUp({ perKey: { 'repo:*': 1 } });
    const holder = fake.spawn('a', web);
    fake.spawn('other');
    fake.spawn('b', web);
    await fake.os.clock.advance(60_000);
    expect(fake.eventsOf('waiting')).toMatchObject([
      { waitsFor: { cause: 'key', name: 'repo:web' }, holders: [holder.id] },
    ]);
  });

  it.each([
    [{ perKey: { 'a*b': 1 } }, /pool\.perKey.*"\*" only at the end/],
    [{ perKey: { a: 0 } }, /pool\.perKey\.a" is 0/],
    [{ startingPerKind: { a: 0 } }, /pool\.startingPerKind\.a" is 0/],
    [{ maxWaiting: -1 }, /pool\.maxWaiting" is -1/],
  ])('and other bounds are checked: %o', (pool, text) => {
    expect(message(() => setUp(pool))).toMatch(text);
  });
});

describe('maxWaiting', () => {
  it('refuses a request more', async () => {
    setUp({ concurrency: 1, maxWaiting: 1 });
    const [, waiting, refused] = spawn('a', 'b', 'c');
    expect(await refusalOf(refused as SupervisedProcess)).toMatchObject({
      code: 'QUEUE_FULL',
      data: { waiting: 1, maxWaiting: 1 },
      message: expect.stringMatching(/pool\.maxWaiting is 1/),
    });
    const lease = fake.supervisor.acquire().catch((error) => error);
    expect(await fake.until(lease)).toMatchObject({ code: 'QUEUE_FULL' });
    fake.spawn('tool', { kind: 'tool' });
    expect(launched()).toEqual(['a', 'tool']);
    waiting?.kill();
    spawn('d');
    expect(fake.supervisor.pool.waiting).toBe(1);
  });

  it('of 0 lets nobody wait, and yet those start who come before the guardian is there', async () => {
    fake[Symbol.dispose]();
    fake = new FakeSupervision({ pool: { concurrency: 2, maxWaiting: 0 } });
    const [, , refused] = spawn('a', 'b', 'c');
    expect(await refusalOf(refused as SupervisedProcess)).toMatchObject({ code: 'QUEUE_FULL' });
    await fake.os.clock.settle();
    expect(launched()).toEqual(['a', 'b']);
  });
});

describe('startingPerKind', () => {
  const start = (...names: string[]) => names.map((name) => fake.spawn(name, { kind: 'tool' }));
  const says = (process: SupervisedProcess | undefined, name: 'stdout' | 'stderr' = 'stdout') => {
    fake.os.child(process?.pid ?? 0)[name].write('hello');
    return fake.os.clock.settle();
  };

  it('lets the next one start at the first output of one before', async () => {
    setUp({ startingPerKind: { tool: 2 } });
    const [a, b] = start('a', 'b', 'c', 'd');
    fake.spawn('other', { kind: 'x' });
    expect(launched()).toEqual(['a', 'b', 'other']);
    expect(fake.supervisor.pool.queue[0]?.waitsFor).toEqual({ cause: 'starting', name: 'tool' });
    await says(a);
    await says(a);
    expect(launched()).toEqual(['a', 'b', 'other', 'c']);
    await says(b, 'stderr');
    expect(launched()).toEqual(['a', 'b', 'other', 'c', 'd']);
  });

  it.each([
    ['at the exit of one that said nothing', (a: SupervisedProcess) => fake.os.die(a.pid ?? 0)],
    ['after 60 s of one that says nothing', () => fake.os.clock.advance(60_000)],
  ])('does so %s', async (_, act) => {
    setUp({ startingPerKind: { '*': 1 } });
    const [a] = start('a', 'b');
    await act(a as SupervisedProcess);
    await fake.os.clock.settle();
    expect(launched()).toEqual(['a', 'b']);
  });

  it('waits for no output where there is none to see', () => {
    setUp({ startingPerKind: { tool: 1 } });
    for (const command of ['a', 'b'])
      fake.spawn(command, { kind: 'tool', stdout: 'ignore', stderr: 'ignore' });
    expect(launched()).toEqual(['a', 'b']);
  });

  it('waits for nothing of what outlives its host', () => {
    setUp({ startingPerKind: { tool: 1 } });
    for (const command of ['a', 'b']) fake.spawn(command, { kind: 'tool', outlivesHost: true });
    expect(launched()).toEqual(['a', 'b']);
  });

  it('holds for what runs on a lease, too, which asks for no slot', async () => {
    setUp({ startingPerKind: { agent: 1 }, maxWaiting: 0 });
    const leases = [await acquire(), await acquire()];
    const [a] = leases.map((lease, at) => lease.spawn({ command: 'ab'[at] as string }));
    expect(launched()).toEqual(['a']);
    await says(a);
    expect(launched()).toEqual(['a', 'b']);
  });

  const acquire = () => fake.until(fake.supervisor.acquire());
});

describe('pauseOnUsageLimit', () => {
  const frame = (info: object) =>
    `${JSON.stringify({ type: 'rate_limit_event', rate_limit_info: info })}\n`;
  const agent = () => fake.supervisor.spawnHook()({ command: 'agent', args: [] });
  const says = ({ pid }: SupervisedProcess, info: object) => {
    fake.os.child(pid ?? 0).stdout.write(frame(info));
    return fake.os.clock.settle();
  };
  const resetsAt = () => Math.ceil(fake.os.clock.now() / 1000) + 3600;

  it('pauses the pool until the limit of an agent resets', async () => {
    setUp({ pauseOnUsageLimit: true });
    const limited = agent();
    const seconds = resetsAt();
    await says(limited, { status: 'allowed_warning', resetsAt: seconds });
    await says(limited, { status: 'rejected', isUsingOverage: true, resetsAt: seconds });
    expect(fake.supervisor.pool.paused).toBeUndefined();
    const rejected = { status: 'rejected', resetsAt: seconds, rateLimitType: 'five_hour' };
    await says(limited, rejected);
    expect(fake.supervisor.pool.paused).toMatchObject({
      reason: 'usage limit (five_hour)',
      until: seconds * 1000,
    });
    spawn('next');
    await fake.os.clock.advance(3_599_000);
    expect(launched()).toEqual(['agent']);
    await fake.os.clock.advance(2_000);
    expect(launched()).toEqual(['agent', 'next']);
  });

  it.each([
    ['no time', () => undefined],
    ['a time that is over', () => 1],
    ['a time that is years away', () => resetsAt() + 1e9],
  ])('pauses it for five minutes where the agent gives %s', async (_, time) => {
    setUp({ pauseOnUsageLimit: true });
    const now = fake.os.clock.now();
    await says(agent(), { status: 'rejected', resetsAt: time() });
    expect(fake.supervisor.pool.paused).toMatchObject({
      reason: 'usage limit',
      until: now + 300_000,
    });
  });

  it('never shortens a pause', async () => {
    setUp({ pauseOnUsageLimit: true });
    const limited = agent();
    fake.supervisor.pool.pause({ reason: 'deploy' });
    await says(limited, { status: 'rejected', resetsAt: resetsAt() });
    expect(fake.supervisor.pool.paused).toMatchObject({ reason: 'deploy', until: undefined });
  });

  it('is off unless it is asked for', async () => {
    await says(agent(), { status: 'rejected', resetsAt: resetsAt() });
    expect(fake.supervisor.pool.paused).toBeUndefined();
  });
});
