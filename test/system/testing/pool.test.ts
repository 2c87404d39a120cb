// The pool at run time, with agents and programs that are none, on a clock that the test moves.
import { describe, expect, it } from 'vitest';
import type { Supervisor } from '../../../src/index.ts';
import {
  createTestSupervisor,
  FakeClock,
  fakeAgent,
  fakeProgram,
  hang,
  reachUsageLimit,
  say,
} from '../../../src/testing/index.ts';

const CANCEL_GRACE_MS = 2500;

/** Starts an agent as the SDK does, with a prompt. */
function ask(supervisor: Supervisor, keys: readonly string[] = []) {
  const agent = supervisor.spawnHook({ keys })({
    command: 'claude',
    args: ['--output-format', 'stream-json', '--input-format', 'stream-json', '--verbose'],
  });
  agent.stdout.resume();
  const message = { role: 'user', content: 'Go on.' };
  agent.stdin.end(`${JSON.stringify({ type: 'user', message })}\n`);
  return agent;
}

describe('a pool of fake agents', () => {
  it('is paused by the usage limit of one until that resets', async () => {
    const clock = new FakeClock();
    const resetsAt = new Date(clock.now() + 3_600_000);
    let asked = 0;
    const agent = fakeAgent(() => (asked++ === 0 ? [reachUsageLimit(resetsAt)] : [say('Hi.')]));
    const pool = { pauseOnUsageLimit: true };
    await using supervisor = createTestSupervisor({ agent, clock, pool });
    await clock.until(supervisor.start());
    await clock.until(ask(supervisor).exited);
    expect(supervisor.pool.paused).toMatchObject({ reason: 'usage limit (five_hour)' });
    const next = ask(supervisor);
    await clock.advance(3_500_000);
    expect([agent.calls.length, supervisor.pool.waiting]).toEqual([1, 1]);
    await clock.advance(200_000);
    expect(await clock.until(next.exited)).toMatchObject({ cause: 'completed' });
    expect(supervisor.pool.paused).toBeUndefined();
  });

  it('bounds keys, and can be resized, paused and resumed', async () => {
    const clock = new FakeClock();
    const agent = fakeAgent([hang()]);
    const pool = { concurrency: 3, perKey: { 'repo:*': 1 }, maxWaiting: 2 };
    await using supervisor = createTestSupervisor({ agent, clock, pool });
    await clock.until(supervisor.start());
    for (const repo of ['web', 'web', 'api']) ask(supervisor, [`repo:${repo}`]);
    await clock.settle();
    expect(agent.calls).toHaveLength(2);
    expect(supervisor.pool.queue).toMatchObject([{ waitsFor: { cause: 'key', name: 'repo:web' } }]);
    supervisor.pool.pause({ reason: 'deploy' });
    ask(supervisor);
    const refused = await clock.until(ask(supervisor).exited);
    expect(refused.error?.code).toBe('QUEUE_FULL');
    supervisor.pool.resize({ concurrency: 1 });
    supervisor.pool.resume();
    await clock.settle();
    expect(supervisor.pool).toMatchObject({ running: 2, waiting: 2 });
    supervisor.pool.resize({ concurrency: 3 });
    // Its stdin ended while it waited: the SDK may yet cancel it.
    await clock.advance(CANCEL_GRACE_MS);
    expect(agent.calls).toHaveLength(3);
  });
});

it('a pool of fake programs lets the next one start at the first word of one before', async () => {
  const clock = new FakeClock();
  const server = fakeProgram();
  const pool = { startingPerKind: { server: 1 } };
  await using supervisor = createTestSupervisor({ clock, pool, programs: { server } });
  await clock.until(supervisor.start());
  for (const _ of [1, 2]) supervisor.spawn({ command: 'server', kind: 'server' }).stdout.resume();
  await clock.settle();
  expect(server.processes).toHaveLength(1);
  server.processes[0]?.say('listening\n');
  await clock.settle();
  expect(server.processes).toHaveLength(2);
});
