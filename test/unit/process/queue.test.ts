// Starts that wait for a slot, on a clock that stands still.
import { AsyncLocalStorage } from 'node:async_hooks';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeSupervision } from '../../../kit/fake-supervisor.ts';
import type { SupervisedProcess } from '../../../src/index.ts';

/** How long a start waits after the end of stdin: the SDK tells of a cancel 2 s after it. */
const GRACE_MS = 2500;
const NOTICE_MS = 60_000;

let fake: FakeSupervision;
let holder: SupervisedProcess;

beforeEach(() => {
  fake = new FakeSupervision({ guardian: false, pool: { concurrency: 1 } });
  holder = fake.spawn('holder');
  // What nobody reads holds the slot of the dead for a while.
  holder.stdout.resume();
});
afterEach(() => fake[Symbol.dispose]());

const launched = () => fake.os.launches.map(({ command }) => command).slice(1);
const keptAlive = () => fake.os.clock.timers.filter(({ keepAlive }) => keepAlive);

/** As the SDK asks for its agent. */
const ask = (signal?: AbortSignal) =>
  fake.supervisor.spawnHook()({
    command: 'agent',
    args: [],
    ...(signal === undefined ? {} : { signal }),
  }) as SupervisedProcess;

async function freeSlot(): Promise<void> {
  fake.os.die(holder.pid ?? 0);
  await fake.until(holder.exited);
  await fake.os.clock.settle();
}

describe('an agent whose stdin has ended while it waited', () => {
  it.each([0, 1, GRACE_MS - 1])(
    'starts when the SDK would have cancelled it, if a slot is free after %i ms',
    async (waitedMs) => {
      const agent = ask();
      await fake.os.clock.advance(1000);
      agent.stdin.end('{}\n');
      await fake.os.clock.advance(waitedMs);
      await freeSlot();
      expect(keptAlive()).toEqual([{ inMs: GRACE_MS - waitedMs, keepAlive: true }]);
      await fake.os.clock.advance(GRACE_MS - waitedMs - 1);
      expect(launched()).toEqual([]);
      await fake.os.clock.advance(1);
      expect(launched()).toEqual(['agent']);
      await agent.started;
    },
  );

  it('starts at once if it has waited as long already', async () => {
    const agent = ask();
    agent.stdin.end();
    await fake.os.clock.advance(GRACE_MS);
    await freeSlot();
    expect(launched()).toEqual(['agent']);
  });

  it.each([
    ['its kill', (agent: SupervisedProcess) => agent.kill()],
    ['its signal', (_agent: SupervisedProcess, own: AbortController) => own.abort()],
    ['a stop', () => void fake.supervisor.stop()],
  ])('is not started if %s comes in between, and gives its slot back', async (what, cancel) => {
    const own = new AbortController();
    const agent = ask(own.signal);
    agent.stdin.end();
    await freeSlot();
    cancel(agent, own);
    const report = await fake.until(agent.exited);
    expect(report).toMatchObject({ cause: 'not-started', intentional: what !== 'a stop' });
    await fake.os.clock.advance(NOTICE_MS);
    expect(launched()).toEqual([]);
    expect(keptAlive()).toEqual([]);
    if (what === 'a stop') return;
    fake.spawn('next');
    expect(launched()).toEqual(['next']);
  });
});

it('another command starts as soon as it may, whatever its stdin', async () => {
  const process = fake.spawn('tool');
  process.stdin.end();
  await freeSlot();
  expect(launched()).toEqual(['tool']);
});

describe('a wait', () => {
  it('is told of every minute, with who holds the slots, and keeps its host alive', async () => {
    const agent = ask();
    expect(fake.eventsOf('queued')).toMatchObject([{ id: agent.id, waiting: 1 }]);
    expect(keptAlive()).toEqual([{ inMs: NOTICE_MS, keepAlive: true }]);
    await fake.os.clock.advance(2 * NOTICE_MS);
    expect(fake.eventsOf('waiting')).toMatchObject([
      { id: agent.id, waitedMs: NOTICE_MS, holders: [holder.id] },
      { id: agent.id, waitedMs: 2 * NOTICE_MS, holders: [holder.id] },
    ]);
    await freeSlot();
    expect(launched()).toEqual(['agent']);
    await fake.os.clock.advance(2 * NOTICE_MS);
    expect(fake.eventsOf('waiting')).toHaveLength(2);
    expect(keptAlive()).toEqual([]);
  });

  it('tells after 5 s of holders of its own session, and the way out', async () => {
    const sessionId = 'nightly';
    await freeSlot();
    const own = fake.spawn('own', { sessionId });
    await own.started;
    const tool = fake.spawn('tool', { sessionId });
    const stranger = fake.spawn('stranger', { sessionId: 'other' });
    await fake.os.clock.advance(4999);
    expect(fake.eventsOf('waiting')).toEqual([]);
    await fake.os.clock.advance(1);
    expect(fake.eventsOf('waiting')).toMatchObject([
      { id: tool.id, waitedMs: 5000, holders: [own.id], ofSession: [own.id] },
    ]);
    expect(fake.eventsOf('waiting')[0]?.reason).toMatch(
      new RegExp(`^all 1 slots are held; .* \\(${own.id}\\): .* slot: false$`),
    );
    await fake.os.clock.advance(NOTICE_MS - 5000);
    expect(fake.eventsOf('waiting').slice(1)).toMatchObject([
      { id: tool.id, waitedMs: NOTICE_MS, ofSession: [own.id] },
      { id: stranger.id, waitedMs: NOTICE_MS, ofSession: [], reason: 'all 1 slots are held' },
    ]);
    const way = fake.spawn('way-out', { sessionId, slot: false });
    await way.started;
  });

  it('ends in the context in which it began', async () => {
    const context = new AsyncLocalStorage<string>();
    const seen: (string | undefined)[] = [];
    context.run('asker', () => fake.spawn('a', { onSpawn: () => seen.push(context.getStore()) }));
    await context.run('releaser', freeSlot);
    expect(seen).toEqual(['asker']);
  });
});

describe('a request that is taken back', () => {
  const WAYS = [
    ['by kill', (agent: SupervisedProcess) => agent.kill('SIGTERM')],
    ['by its signal', (_agent: SupervisedProcess, own: AbortController) => own.abort()],
  ] as const;

  it.each(WAYS)('%s, has exited by it, once, and is no error', async (_way, cancel) => {
    const own = new AbortController();
    const agent = ask(own.signal);
    const told: unknown[] = [];
    agent.on('exit', (...how) => told.push(how));
    agent.on('error', (error) => told.push(error));
    cancel(agent, own);
    const report = await agent.exited;
    expect(report).toMatchObject({ cause: 'not-started', intentional: true, pid: undefined });
    expect(report.error).toMatchObject({ code: 'ABORTED' });
    expect(agent.kill()).toBe(false);
    own.abort();
    await fake.os.clock.settle();
    expect(told).toEqual([[null, 'SIGTERM']]);
    expect(fake.eventsOf('refused')).toHaveLength(1);
    await freeSlot();
    expect(launched()).toEqual([]);
    expect(keptAlive()).toEqual([]);
  });

  it('by terminate, is in its report', async () => {
    await fake.os.clock.advance(1000);
    const agent = ask();
    expect(await fake.until(agent.terminate())).toEqual({
      ended: [await agent.exited],
      survivors: [],
      unproven: [],
      durationMs: 0,
    });
    expect(agent.signalCode).toBe('SIGTERM');
  });

  it('says so by killed', () => {
    const agent = ask();
    expect(agent.killed).toBe(false);
    expect(agent.kill('SIGKILL')).toBe(true);
    expect([agent.killed, agent.signalCode]).toEqual([true, 'SIGKILL']);
  });
});
