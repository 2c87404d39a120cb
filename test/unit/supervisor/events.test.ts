import { afterEach, beforeEach, describe, expect, expectTypeOf, it, vi } from 'vitest';
import { UNKILLABLE } from '../../../kit/fake-os.ts';
import { EVENTS, FakeSupervision } from '../../../kit/fake-supervisor.ts';
import { catchUncaught, type Uncaught } from '../../../kit/uncaught.ts';
import type { SupervisorEvent } from '../../../src/events.ts';
import type { SupervisorOptions } from '../../../src/supervisor/options.ts';

let fake: FakeSupervision;

function setUp(options: SupervisorOptions = {}): void {
  fake?.[Symbol.dispose]();
  fake = new FakeSupervision({ pool: { concurrency: 1 }, ...options });
}

beforeEach(() => setUp());
afterEach(() => fake[Symbol.dispose]());

/** Each event as `name id`, ids counted in the order of the spawns. */
function story(): string[] {
  const ids = new Map<string, number>();
  const ordinal = (id: string) => {
    if (!ids.has(id)) ids.set(id, ids.size + 1);
    return ids.get(id);
  };
  return fake.events.map(({ name, detail }) =>
    'id' in detail ? `${name} ${ordinal(detail.id)}` : name,
  );
}

describe('the events', () => {
  it('are these', () => {
    expect(EVENTS).toEqual([
      'queued',
      'waiting',
      'started',
      'refused',
      'ending',
      'leftovers',
      'survivors',
      'exited',
      'restarting',
      'warning',
      'session-expired',
      'stopping',
      'stopped',
      'pool-paused',
      'pool-resumed',
    ]);
    type Missing = Exclude<SupervisorEvent, (typeof EVENTS)[number]>;
    expectTypeOf<Missing>().toEqualTypeOf<'requested' | 'adopted' | 'service' | 'swept'>();
  });

  it('of a normal life', async () => {
    const process = fake.spawn('a', { sessionId: 's' });
    expect(story()).toEqual(['started 1']);
    fake.os.die(100);
    await fake.until(process.exited);
    expect(story()).toEqual(['started 1', 'exited 1']);
    const subject = { id: process.id, kind: 'agent', sessionId: 's' };
    expect(fake.events.map(({ detail }) => detail)).toEqual([
      { ...subject, pid: 100 },
      await process.exited,
    ]);
  });

  it('of a request, within the call that asks, whatever becomes of it', async () => {
    const requested = vi.fn();
    fake.supervisor.on('requested', (subject) => requested(subject, fake.eventNames));
    const first = fake.spawn('a', { sessionId: 's' });
    const second = fake.spawn('b', { kind: 'tool', slot: true });
    fake.os.failure = { code: 'COMMAND_NOT_FOUND', message: 'no', cause: undefined };
    const third = fake.spawn('c', { slot: false });
    expect(() => fake.spawn('')).toThrow();
    expect(requested.mock.calls).toEqual([
      [{ id: first.id, kind: 'agent', sessionId: 's' }, []],
      [{ id: second.id, kind: 'tool', sessionId: undefined }, ['started']],
      [{ id: third.id, kind: 'agent', sessionId: undefined }, ['started', 'queued']],
    ]);
    await fake.until(fake.supervisor.stop());
  });

  it('of a request whose listener stops the supervisor: it is refused, and waits for nobody', async () => {
    fake.os.reactions = UNKILLABLE;
    fake.spawn('a');
    fake.supervisor.on('requested', () => void fake.supervisor.stop());
    const late = fake.spawn('b');
    expect(await fake.until(late.exited)).toMatchObject({ error: { code: 'STOPPING' } });
  });

  it('of one that waits, with a reminder every minute that names who holds the slots', async () => {
    const holder = fake.spawn('a');
    const waiter = fake.spawn('b', { kind: 'agent', sessionId: 7 });
    await fake.os.clock.advance(120_000);
    fake.os.die(100);
    await fake.until(waiter.started);
    expect(story()).toEqual([
      'started 1',
      'queued 2',
      'waiting 2',
      'waiting 2',
      'exited 1',
      'started 2',
    ]);
    const subject = { id: waiter.id, kind: 'agent', sessionId: '7' };
    const reason = 'all 1 slots are held';
    const waitsFor = { cause: 'slot', name: undefined };
    expect(fake.eventsOf('queued')).toEqual([{ ...subject, waiting: 1, waitsFor, reason }]);
    const reminder = { ...subject, waitsFor, holders: [holder.id], ofSession: [], reason };
    expect(fake.eventsOf('waiting')).toEqual([
      { ...reminder, waitedMs: 60_000 },
      { ...reminder, waitedMs: 120_000 },
    ]);
    await fake.os.clock.advance(120_000);
    expect(fake.eventsOf('waiting')).toHaveLength(2);
  });

  it('of one that is refused', async () => {
    fake.os.failure = { code: 'COMMAND_NOT_FOUND', message: 'no such command', cause: undefined };
    const process = fake.spawn('nothing');
    await fake.until(process.exited);
    expect(story()).toEqual(['refused 1']);
    expect(fake.eventsOf('refused')[0]?.error).toMatchObject({ code: 'COMMAND_NOT_FOUND' });
  });

  it('of an end', async () => {
    const process = fake.spawn('a');
    await fake.until(process.terminate({ reason: 'enough' }));
    expect(story()).toEqual(['started 1', 'ending 1', 'exited 1']);
    expect(fake.eventsOf('ending')).toEqual([
      {
        id: process.id,
        kind: 'agent',
        sessionId: undefined,
        pid: 100,
        cause: 'terminated',
        reason: 'enough',
      },
    ]);
  });

  it('of an end that several ask for: one', async () => {
    fake.os.reactions = { SIGTERM: 'ignore' };
    const abort = new AbortController();
    const process = fake.spawn('a', { signal: abort.signal });
    const ends = [process.terminate(), process.terminate({ force: true }), fake.supervisor.stop()];
    abort.abort();
    await fake.until(Promise.all(ends));
    expect(story()).toEqual(['started 1', 'ending 1', 'stopping', 'exited 1', 'stopped']);
    expect(await process.exited).toMatchObject({ cause: 'terminated' });
  });

  it('of leftovers', async () => {
    const process = fake.spawn('a');
    const left = fake.os.add({ ppid: 1, cookie: fake.os.get(100).cookie, command: 'server' });
    fake.os.die(100);
    const report = await fake.until(process.exited);
    expect(story()).toEqual(['started 1', 'leftovers 1', 'exited 1']);
    const [event] = fake.eventsOf('leftovers');
    expect(event).toMatchObject({
      action: 'terminate',
      processes: [{ pid: left.pid, command: 'server' }],
      advice: expect.stringContaining("leftovers: 'keep'"),
    });
    expect(report.leftovers).toEqual(event?.processes);
    expect(fake.os.alive).toEqual([]);
  });

  it('of leftovers that are kept', async () => {
    const process = fake.spawn('a', { leftovers: 'keep' });
    const left = fake.os.fork(100);
    fake.os.die(100);
    await fake.until(process.exited);
    expect(fake.eventsOf('leftovers')).toMatchObject([{ action: 'keep' }]);
    expect(fake.os.received(left)).toEqual([]);
    expect(fake.os.alive).toEqual([left.pid]);
  });

  it('of leftovers that are kept, whoever wants it ended at its exit', async () => {
    const process = fake.spawn('a', { leftovers: 'keep' });
    const left = fake.os.fork(100);
    const ended = new Promise<unknown>((resolve) => {
      process.on('exit', () => resolve([process.terminate(), fake.supervisor.stop()]));
    });
    fake.os.die(100);
    await fake.until(ended);
    await fake.until(fake.supervisor.stop());
    expect(fake.eventsOf('leftovers')).toMatchObject([{ action: 'keep' }]);
    expect(fake.os.received(left)).toEqual([]);
    expect(fake.os.alive).toEqual([left.pid]);
  });

  it('of survivors', async () => {
    fake.os.reactions = UNKILLABLE;
    const process = fake.spawn('a');
    await fake.until(process.terminate());
    expect(story()).toEqual(['started 1', 'ending 1', 'survivors 1']);
  });

  it('of a stop with everything in it', async () => {
    setUp({ pool: { concurrency: 2 } });
    for (const name of ['a', 'b', 'c', 'd']) fake.spawn(name);
    await fake.until(fake.supervisor.stop({ reason: 'deploy' }));
    expect(story()).toEqual([
      ...['started 1', 'started 2', 'queued 3', 'queued 4'],
      ...['stopping', 'refused 3', 'refused 4', 'ending 2', 'ending 1', 'exited 2', 'exited 1'],
      'stopped',
    ]);
    expect(fake.eventsOf('stopping')).toEqual([{ reason: 'deploy' }]);
  });

  it('of a lease that nobody used', async () => {
    setUp({ pool: { concurrency: 1, waitTimeoutMs: 5000 } });
    await fake.supervisor.acquire();
    await fake.os.clock.advance(5000);
    expect(fake.eventsOf('warning')).toEqual([
      { code: 'LEASE_UNUSED', message: expect.stringContaining('5000 ms'), cause: undefined },
    ]);
  });

  it('stop for a listener that was taken off', async () => {
    const listener = vi.fn();
    const off = fake.supervisor.on('started', listener);
    fake.spawn('a');
    off();
    off();
    fake.spawn('b', { slot: false });
    expect(listener).toHaveBeenCalledTimes(1);
  });

  it('go on for another who passed the same function', () => {
    const listener = vi.fn();
    const off = fake.supervisor.on('started', listener);
    fake.supervisor.on('started', listener);
    off();
    fake.spawn('a');
    expect(listener).toHaveBeenCalledTimes(1);
  });

  it('come once to a listener that puts itself on again', () => {
    const listener = vi.fn(() => {
      off();
      // Enough to tell, and no endless loop.
      if (listener.mock.calls.length < 5) off = fake.supervisor.on('started', listener);
    });
    let off = fake.supervisor.on('started', listener);
    fake.spawn('a');
    expect(listener).toHaveBeenCalledTimes(1);
  });

  it('do not come any more to a listener that another one has taken off meanwhile', () => {
    const listener = vi.fn();
    fake.supervisor.on('started', () => off());
    const off = fake.supervisor.on('started', listener);
    fake.spawn('a');
    expect(listener).not.toHaveBeenCalled();
  });
});

describe('a listener that throws', () => {
  let uncaught: Uncaught;
  beforeEach(() => {
    uncaught = catchUncaught();
  });
  afterEach(() => uncaught.restore());

  it("is the host's own uncaught error, and costs nothing else", async () => {
    const boom = new Error('boom');
    for (const event of EVENTS) {
      fake.supervisor.on(event, () => {
        throw boom;
      });
    }
    const after = vi.fn();
    fake.supervisor.on('started', after);
    const first = fake.spawn('a');
    const second = fake.spawn('b');
    expect(first.pid).toBe(100);
    fake.os.die(100);
    await fake.until(second.started);
    await fake.until(fake.supervisor.stop());
    expect(after).toHaveBeenCalledTimes(2);
    expect(await second.exited).toMatchObject({ cause: 'shutdown' });
    expect(new Set(uncaught.exceptions)).toEqual(new Set([boom]));
    expect(uncaught.exceptions).toHaveLength(fake.events.length);
    expect(uncaught.rejections).toEqual([]);
  });

  it("of the process's own exit costs neither the slot nor the report", async () => {
    const boom = new Error('boom');
    const first = fake.spawn('a');
    first.on('exit', () => {
      throw boom;
    });
    const second = fake.spawn('b');
    fake.os.die(100, 3);
    expect(await fake.until(first.exited)).toMatchObject({ cause: 'failed', code: 3 });
    await fake.until(second.started);
    expect(uncaught).toMatchObject({ exceptions: [boom], rejections: [] });
  });

  it("of the process's own error costs neither the slot nor the report", async () => {
    const boom = new Error('boom');
    fake.os.failure = { code: 'SPAWN_FAILED', message: 'no', cause: undefined };
    const first = fake.spawn('a');
    first.on('error', () => {
      throw boom;
    });
    expect(await fake.until(first.exited)).toMatchObject({ cause: 'not-started' });
    await fake.os.clock.settle();
    expect(uncaught).toMatchObject({ exceptions: [boom], rejections: [] });
    fake.os.failure = undefined;
    expect(fake.spawn('b').pid).toBeDefined();
  });

  it('as onSpawn costs neither the process nor the slot', async () => {
    const boom = new Error('boom');
    const process = fake.spawn('a', {
      onSpawn: () => {
        throw boom;
      },
    });
    expect(process.pid).toBe(100);
    await fake.os.clock.settle();
    expect(uncaught).toMatchObject({ exceptions: [boom], rejections: [] });
    fake.os.die(100);
    expect(await fake.until(process.exited)).toMatchObject({ cause: 'completed' });
  });
});
