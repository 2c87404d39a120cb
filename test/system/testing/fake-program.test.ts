// Runs and services of programs that are none, on a clock that the test moves: nothing is polled for.
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import type { Supervisor } from '../../../src/index.ts';
import { defineService } from '../../../src/service/index.ts';
import { createTestSupervisor, FakeClock, fakeProgram } from '../../../src/testing/index.ts';

/** Backoffs without chance, so that a test knows when each is over. */
const PACE = { backoffMs: 1000, jitter: 0 };

const runIndexer = (supervisor: Supervisor) =>
  supervisor.run({ ...PACE, maxRestarts: 3 }, ({ signal }) =>
    supervisor.spawn({ command: 'indexer', args: ['--all'], kind: 'tool', signal }),
  );

describe('a run of a fake program', () => {
  it('is restarted after each backoff, and not before', async () => {
    const clock = new FakeClock();
    const indexer = fakeProgram();
    await using supervisor = createTestSupervisor({ clock, programs: { indexer } });
    const run = runIndexer(supervisor);
    await clock.settle();
    expect(indexer.processes).toMatchObject([{ command: 'indexer', args: ['--all'] }]);

    indexer.processes[0]?.crash();
    await clock.advance(999);
    expect(indexer.processes).toHaveLength(1);
    await clock.advance(1);
    expect(indexer.processes).toHaveLength(2);

    indexer.processes[1]?.exit(3);
    await clock.advance(1999);
    expect(indexer.processes).toHaveLength(2);
    await clock.advance(1);
    indexer.processes[2]?.exit();
    expect(await run.done).toMatchObject({
      outcome: 'completed',
      restarts: 2,
      reports: [{ cause: 'crashed', signal: 'SIGSEGV' }, { cause: 'failed', code: 3 }, { code: 0 }],
    });
  });

  it('is given up when its budget is spent', async () => {
    const clock = new FakeClock();
    let starts = 0;
    const indexer = fakeProgram((process) => process.exit(++starts));
    await using supervisor = createTestSupervisor({ clock, programs: { indexer } });
    const { outcome } = await clock.until(runIndexer(supervisor).done);
    expect([outcome, starts]).toEqual(['exhausted', 4]);
  });

  it('goes by real time without a clock, and speaks through its streams', async () => {
    const indexer = fakeProgram((process) => {
      process.say(`hello ${process.env['NAME']}`);
      process.complain('careful\n');
    });
    await using supervisor = createTestSupervisor({ programs: { indexer } });
    const child = supervisor.spawn({ command: 'indexer', env: { NAME: 'you' }, input: 'a word' });
    const [chunk] = await once(child.stdout, 'data');
    expect(String(chunk)).toBe('hello you\n');
    await child.started;
    expect(supervisor.list()).toMatchObject([
      { command: 'indexer', pid: indexer.processes[0]?.pid },
    ]);
    expect(indexer.processes[0]?.input).toBe('a word');
    await child.terminate();
    expect(await child.exited).toMatchObject({ signal: 'SIGTERM', stderrTail: 'careful\n' });
    expect(indexer.processes[0]?.isAlive).toBe(false);
  });

  it('can ignore SIGTERM, until the ladder kills it', async () => {
    const clock = new FakeClock();
    const indexer = fakeProgram((process) => {
      process.ignoresSigterm = true;
    });
    await using supervisor = createTestSupervisor({ clock, programs: { indexer } });
    const child = supervisor.spawn({ command: 'indexer' });
    await clock.settle();
    const ending = child.terminate();
    await clock.advance(6999);
    expect(indexer.processes[0]?.isAlive).toBe(true);
    await clock.advance(1);
    expect((await ending).ended).toMatchObject([{ signal: 'SIGKILL', forced: true }]);
  });

  it('leaves all other programs real', async () => {
    await using supervisor = createTestSupervisor({ programs: { indexer: fakeProgram() } });
    const args = ['-e', 'process.exit(7)'];
    const { exited } = supervisor.spawn({ command: process.execPath, args });
    expect(await exited).toMatchObject({ code: 7 });
  });
});

describe('a service of a fake program', () => {
  it('becomes ready, crashes, comes back after its backoff, and is closed', async () => {
    const clock = new FakeClock();
    const server = fakeProgram();
    await using supervisor = createTestSupervisor({ clock, programs: { chroma: server } });
    const service = defineService(supervisor, {
      ...{ name: 'chroma', command: 'chroma', args: ['run'], restart: PACE },
      ready: { port: 8000 },
    });
    const asked = service.ensure();
    await clock.settle();
    expect(service.state).toBe('starting');
    server.processes[0]?.listen({ port: 8000 });
    expect((await clock.until(asked)).pid).toBe(server.processes[0]?.pid);
    expect(service.state).toBe('ready');

    server.processes[0]?.crash();
    await clock.settle();
    expect(service.state).toBe('waiting');
    await clock.advance(1000);
    expect(service.state).toBe('starting');
    server.processes[1]?.listen({ port: 8000 });
    await clock.advance(100);
    expect(service.state).toBe('ready');

    await clock.until(service.close());
    expect(server.processes.map(({ isAlive }) => isAlive)).toEqual([false, false]);
  });

  it.each([
    ['a line', { stdout: /^listening/ }, undefined],
    ['a port', { port: 8000 }, { port: 8000 }],
    ['an address', { url: 'http://127.0.0.1:8000/health' }, { port: 8000 }],
    ['a socket', { socket: '/run/chroma.sock' }, { socket: '/run/chroma.sock' }],
    ['nothing', undefined, undefined],
  ])('is ready by %s', async (_, ready, endpoint) => {
    const server = fakeProgram((process) => {
      process.say('listening');
      if (endpoint !== undefined) process.listen(endpoint);
    });
    await using supervisor = createTestSupervisor({ programs: { chroma: server } });
    const service = defineService(supervisor, { name: 'chroma', command: 'chroma', ready });
    expect((await service.ensure()).pid).toBe(server.processes[0]?.pid);
  });

  it('opens its breaker when it never becomes ready, and is tried again afterwards', async () => {
    const clock = new FakeClock();
    const server = fakeProgram((process) => process.exit(1));
    await using supervisor = createTestSupervisor({ clock, programs: { chroma: server } });
    const service = defineService(supervisor, {
      ...{ name: 'chroma', command: 'chroma', ready: { port: 8000 }, restart: PACE },
      breaker: { failures: 1, openMs: 60_000 },
    });
    await expect(clock.until(service.ensure())).rejects.toMatchObject({ code: 'SPAWN_FAILED' });
    await expect(service.ensure()).rejects.toMatchObject({ code: 'CIRCUIT_OPEN' });
    await clock.advance(60_000);
    expect(service.state).toBe('half-open');
  });

  it('times out by the clock of the test', async () => {
    const clock = new FakeClock();
    const server = fakeProgram();
    await using supervisor = createTestSupervisor({ clock, programs: { chroma: server } });
    const service = defineService(supervisor, {
      ...{ name: 'chroma', command: 'chroma', ready: { port: 8000, timeoutMs: 5000 } },
    });
    await expect(clock.until(service.ensure())).rejects.toMatchObject({ code: 'READY_TIMEOUT' });
    expect(server.processes[0]?.isAlive).toBe(false);
  });
});

it.each([
  [() => fakeProgram([] as never), 'must be a function that is called with each process'],
  [() => createTestSupervisor({ programs: { x: {} as never } }), 'must be a fakeProgram(…)'],
])('refuses what is no program: %s', (make, message) => {
  expect(make).toThrow(message);
});
