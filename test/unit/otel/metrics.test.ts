// Metrics with exact numbers: the operating system and its clock are in memory.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UNKILLABLE } from '../../../kit/fake-os.ts';
import { FakeSupervision } from '../../../kit/fake-supervisor.ts';
import { type Point, Telemetry } from '../../../kit/telemetry.ts';
import type { SupervisorOptions } from '../../../src/index.ts';
import { instrument } from '../../../src/otel/index.ts';

let fake: FakeSupervision;
let telemetry: Telemetry;
let stop: () => void;

function setUp(options: SupervisorOptions = {}): void {
  fake?.[Symbol.dispose]();
  fake = new FakeSupervision({ pool: { concurrency: 1 }, ...options });
  stop = instrument(fake.supervisor, telemetry.providers);
}

beforeEach(() => {
  telemetry = new Telemetry();
  setUp();
});
afterEach(async () => {
  stop();
  await telemetry.shutdown();
  fake[Symbol.dispose]();
});

/** Each point as `value attribute attribute …`, in whole seconds, without those of value 0. */
async function points(name: string): Promise<string[]> {
  const metrics = await telemetry.metrics();
  return (metrics[name] ?? []).filter(({ value }) => value !== 0).map(show);
}

function show({ attributes, value }: Point): string {
  const words = typeof value === 'number' ? [value] : [value.count, '×', mean(value), 's'];
  return [...words, ...Object.values(attributes)].join(' ');
}

function mean({ count, sum }: { count: number; sum: number }): number {
  return Math.round(sum / count);
}

describe('durations', () => {
  it('are recorded for the wait, the run and the end', async () => {
    fake.os.reactions = { SIGTERM: 'ignore' };
    const first = fake.spawn('a');
    const second = fake.spawn('b');
    await fake.os.clock.advance(20_000);
    fake.os.die(100);
    await fake.until(second.started);
    await fake.os.clock.advance(3000);
    await fake.until(second.terminate());
    expect(await first.exited).toMatchObject({ cause: 'completed' });
    expect(await points('process.wait.duration')).toEqual(['2 × 10 s agent']);
    expect((await points('process.run.duration')).sort()).toEqual([
      '1 × 20 s agent completed',
      '1 × 3 s agent terminated',
    ]);
    // End of stdin, 2 s, SIGTERM, 5 s, SIGKILL.
    expect(await points('process.end.duration')).toEqual(['1 × 7 s agent terminated']);
  });

  it('are recorded for a wait that ends in a refusal', async () => {
    fake.spawn('a');
    const abort = new AbortController();
    fake.spawn('b', { signal: abort.signal });
    await fake.os.clock.advance(4000);
    abort.abort();
    await fake.os.clock.settle();
    expect((await points('process.wait.duration')).sort()).toEqual([
      '1 × 0 s agent',
      '1 × 4 s agent ABORTED',
    ]);
  });

  it('are not recorded for an earlier process: only its end is counted', async () => {
    stop();
    const process = fake.spawn('a');
    stop = instrument(fake.supervisor, telemetry.providers);
    fake.os.die(100, 3);
    await fake.until(process.exited);
    expect(await points('process.ends')).toEqual(['1 agent failed false']);
    expect(await points('process.run.duration')).toEqual([]);
    expect(telemetry.spans()).toEqual([]);
  });
});

describe('counters', () => {
  it('count ends by kind, cause and use of SIGKILL', async () => {
    const ends = [
      () => fake.os.die(fake.os.alive.at(-1) ?? 0),
      () => fake.os.die(fake.os.alive.at(-1) ?? 0, 1),
      () => void fake.supervisor.reapSession('s'),
    ];
    for (const kind of ['agent', 'tool'])
      for (const end of ends) {
        const process = fake.spawn('a', { kind, sessionId: 's' });
        end();
        await fake.until(process.exited);
      }
    fake.os.reactions = { SIGTERM: 'ignore' };
    const stubborn = fake.spawn('a', { kind: 'tool' });
    await fake.until(stubborn.terminate());
    expect((await points('process.ends')).sort()).toEqual([
      '1 agent completed false',
      '1 agent failed false',
      '1 agent reaped false',
      '1 tool completed false',
      '1 tool failed false',
      '1 tool reaped false',
      '1 tool terminated true',
    ]);
  });

  it('count refusals by code', async () => {
    setUp({ pool: { concurrency: 1, hardCap: 1 } });
    fake.spawn('a');
    fake.spawn('b', { slot: false });
    fake.os.failure = { code: 'COMMAND_NOT_FOUND', message: 'no', cause: undefined };
    fake.spawn('c');
    await fake.until(fake.supervisor.stop());
    expect((await points('process.refusals')).sort()).toEqual([
      '1 agent HARD_CAP',
      '1 agent STOPPING',
    ]);
  });

  it('count leftovers and survivors', async () => {
    const process = fake.spawn('a');
    fake.os.fork(100);
    fake.os.fork(100);
    fake.os.die(100);
    await fake.until(process.exited);
    fake.os.reactions = UNKILLABLE;
    await fake.until(fake.spawn('b', { kind: 'tool' }).terminate());
    expect(await points('process.leftovers')).toEqual(['2 agent terminate']);
    expect(await points('process.survivors')).toEqual(['1 tool']);
  });

  it('count restarts, warnings, expired sessions and changes of services', async () => {
    setUp({ pool: { concurrency: 1, waitTimeoutMs: 1000 }, session: { maxWallClockMs: 5000 } });
    const { done } = fake.supervisor.run({ backoffMs: 10, maxRestarts: 1 }, () => {
      const process = fake.spawn('a');
      fake.os.die(fake.os.alive.at(-1) ?? 0, 1);
      return process;
    });
    await fake.until(done);
    await fake.supervisor.acquire();
    await fake.os.clock.advance(1000);
    const process = fake.spawn('a', { sessionId: 's' });
    await fake.until(process.exited);
    const { emit } = fake.supervisor.internals;
    const service = { name: 'db', from: 'starting', pid: 1, reason: undefined } as const;
    emit('service', { ...service, state: 'ready' });
    expect(await points('process.restarts')).toEqual(['1 agent failed']);
    expect(await points('warnings')).toEqual(['1 LEASE_UNUSED']);
    expect(await points('sessions.expired')).toEqual(['1']);
    expect(await points('process.ends')).toContain('1 agent wall-clock false');
    expect(await points('service.transitions')).toEqual(['1 ready']);
  });

  it('count orphans that a sweep has ended', async () => {
    const process = fake.spawn('a');
    fake.supervisor.internals.emit('swept', {
      ...(await fake.until(fake.supervisor.sweep({ dryRun: true }))),
      orphans: [{ id: process.id, pid: 999, command: 'server', reason: 'its host is dead' }],
    });
    expect(await points('orphans')).toEqual(['1']);
  });
});

describe('gauges', () => {
  it('show slots and waiting requests', async () => {
    expect(await points('slots.limit')).toEqual(['1']);
    expect(await points('slots.held')).toEqual([]);
    const lease = await fake.supervisor.acquire();
    const agent = fake.spawn('a');
    void fake.supervisor.acquire().then((other) => other.release());
    await fake.os.clock.advance(7000);
    expect(await points('slots.held')).toEqual(['1']);
    expect(await points('queue.length')).toEqual(['2']);
    expect(await points('queue.oldest_wait')).toEqual(['7']);
    lease.release();
    await fake.until(agent.started);
    await fake.os.clock.advance(1000);
    expect(await points('queue.length')).toEqual(['1']);
    expect(await points('queue.oldest_wait')).toEqual(['8']);
    fake.os.die(100);
    await fake.until(agent.exited);
    await fake.os.clock.settle();
    for (const name of ['slots.held', 'queue.length', 'queue.oldest_wait'])
      expect(await points(name), name).toEqual([]);
  });

  it('show live processes by kind and state, and 0 for a kind that is gone', async () => {
    fake.os.reactions = UNKILLABLE;
    const agent = fake.spawn('a');
    fake.spawn('b', { kind: 'tool' });
    const server = fake.spawn('c', { kind: 'server' });
    fake.os.die(102);
    await fake.until(server.exited);
    expect(await points('processes')).toEqual(['1 agent running', '1 tool running']);
    void agent.terminate();
    await fake.os.clock.settle();
    expect(await points('processes')).toEqual(['1 agent ending', '1 tool running']);
    fake.os.die(100);
    fake.os.die(101);
    await fake.until(agent.exited);
    await fake.os.clock.settle();
    expect(await points('processes')).toEqual([]);
    const told = (await telemetry.metrics())['processes'] ?? [];
    expect(new Set(told.map(({ attributes }) => attributes['agent_supervisor.kind']))).toEqual(
      new Set(['agent', 'tool']),
    );
  });
});

describe('instrument, once stopped,', () => {
  it('counts and observes nothing more, and can be stopped again', async () => {
    await fake.until(fake.spawn('a').terminate());
    const before = await telemetry.metrics();
    stop();
    stop();
    await fake.until(fake.spawn('b', { kind: 'tool' }).terminate());
    const after = await telemetry.metrics();
    for (const name of ['process.ends', 'process.run.duration', 'process.wait.duration'])
      expect(after[name]).toEqual(before[name]);
    expect(JSON.stringify(after)).not.toContain('tool');
  });
});
