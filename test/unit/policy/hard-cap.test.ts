import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeSupervision } from '../../../kit/fake-supervisor.ts';
import { type SupervisedProcess, SupervisorError } from '../../../src/index.ts';
import type { SupervisorOptions } from '../../../src/supervisor/options.ts';

let fake: FakeSupervision;

const setUp = (pool: SupervisorOptions['pool'] = {}): void => {
  fake?.[Symbol.dispose]();
  fake = new FakeSupervision({ pool, guardian: false });
};
beforeEach(() => setUp());
afterEach(() => fake[Symbol.dispose]());

const tool = (kind = 'tool') => fake.spawn('t', { kind });
const server = (kind = 'mcp-server') =>
  fake.supervisor.internals.spawnServer({ command: 's', kind, slot: false });
const outcome = async (process: SupervisedProcess) => {
  const started = process.started.then(() => 'started');
  return fake.until(started.catch((error: SupervisorError) => error));
};
const times = (count: number, start: () => SupervisedProcess) =>
  Promise.all(Array.from({ length: count }, () => outcome(start())));
const counted = () => fake.supervisor.internals.snapshot().countedByCap;

describe('the default hard cap', () => {
  it('counts no servers, and refuses none', async () => {
    expect(new Set(await times(30, server))).toEqual(new Set(['started']));
    expect(counted()).toBe(0);
    expect(new Set(await times(10, tool))).toEqual(new Set(['started']));
    expect(counted()).toBe(10);
    expect(await outcome(tool())).toMatchObject({
      code: 'HARD_CAP',
      data: { alive: 10, hardCap: 10 },
    });
    expect(await outcome(server())).toBe('started');
    expect(fake.supervisor.list()).toHaveLength(41);
  });

  it('goes by what a process is, not by its label', async () => {
    await times(10, () => tool('mcp-server'));
    expect(await outcome(tool('mcp-server'))).toMatchObject({ code: 'HARD_CAP' });
    expect(await outcome(server('agent'))).toBe('started');
  });
});

describe('a hard cap that is named', () => {
  it.each([10, 3])('counts servers: %i', async (hardCap) => {
    setUp({ concurrency: 2, hardCap });
    await times(hardCap - 1, server);
    expect(await outcome(tool())).toBe('started');
    for (const start of [server, tool])
      expect(await outcome(start())).toMatchObject({ code: 'HARD_CAP', data: { hardCap } });
    expect(counted()).toBe(hardCap);
  });
});

describe('a hard cap of a kind', () => {
  it('bounds servers and others by their label', async () => {
    setUp({ hardCapPerKind: { 'mcp-server': 3 } });
    await times(2, server);
    expect(await outcome(tool('mcp-server'))).toBe('started');
    const refused = await outcome(server());
    expect(refused).toMatchObject({
      code: 'HARD_CAP',
      data: { kind: 'mcp-server', alive: 3, hardCap: 3 },
    });
    expect((refused as SupervisorError).message).toBe(
      '3 processes of the kind "mcp-server" are alive, and pool.hardCapPerKind lets 3 be. End some (supervisor.list({ kind }) names them), or raise pool.hardCapPerKind.',
    );
    expect(await outcome(server('other'))).toBe('started');
  });

  it('lets the next one start when one has ended', async () => {
    setUp({ hardCapPerKind: { tool: 1 } });
    const first = tool();
    await first.started;
    expect(await outcome(tool())).toBeInstanceOf(SupervisorError);
    await fake.until(first.terminate());
    expect(await outcome(tool())).toBe('started');
  });

  it('is that of * for each kind that is not named, each by itself', async () => {
    setUp({ hardCapPerKind: { tool: 2, '*': 1 } });
    for (const kind of ['constructor', 'a', 'tool', 'tool'])
      expect(await outcome(tool(kind))).toBe('started');
    for (const kind of ['constructor', 'a', 'tool'])
      expect(await outcome(tool(kind))).toMatchObject({ code: 'HARD_CAP', data: { kind } });
  });

  it('holds beside the one for all', async () => {
    setUp({ hardCapPerKind: { tool: 20 } });
    await times(10, tool);
    expect(await outcome(tool())).toMatchObject({ data: { alive: 10, hardCap: 10 } });
  });
});

describe('what waits for room below the hard cap', () => {
  const full = () => setUp({ concurrency: 1, hardCap: 1 });
  const started = () => fake.os.launches.map(({ command }) => command);
  const hook = (defaults = {}) =>
    fake.supervisor.spawnHook(defaults)({ command: 'agent', args: [] });

  it('is an agent of a spawn hook; other requests are refused', async () => {
    full();
    const first = tool();
    await first.started;
    const agent = hook();
    expect(fake.eventsOf('queued')).toMatchObject([
      { id: agent.id, reason: '1 processes are alive, and pool.hardCap is 1' },
    ]);
    expect(await outcome(fake.spawn('other'))).toMatchObject({ code: 'HARD_CAP' });
    await fake.until(first.terminate());
    await fake.until(agent.started);
    expect(started()).toEqual(['t', 'agent']);
  });

  it('lets those go first that need no more room, in order of arrival', async () => {
    setUp({ concurrency: 2, hardCapPerKind: { busy: 1 } });
    const first = tool('busy');
    await first.started;
    const [later, other] = [hook({ kind: 'busy' }), hook({ kind: 'free' })];
    await fake.until(other.started);
    expect(fake.supervisor.list({ kind: 'busy' })).toHaveLength(1);
    await fake.until(first.terminate());
    await fake.until(later.started);
  });

  it('gives up after pool.hookTimeoutMs, and holds no slot', async () => {
    setUp({ concurrency: 1, hardCap: 1, hookTimeoutMs: 1000 });
    const first = tool();
    await first.started;
    const agent = hook();
    const { error } = await fake.until(agent.exited);
    expect(error).toMatchObject({
      code: 'POOL_TIMEOUT',
      data: { timeoutMs: 1000, reason: expect.stringContaining('pool.hardCap is 1') },
    });
    await fake.until(first.terminate());
    expect(await outcome(fake.spawn('next'))).toBe('started');
  });

  it('is a lease, within its time-out; it keeps its place until its process has it', async () => {
    full();
    const first = tool();
    await first.started;
    const impatient = fake.supervisor.acquire({ timeoutMs: 50 });
    await expect(fake.until(impatient)).rejects.toMatchObject({ code: 'POOL_TIMEOUT' });
    const patient = fake.supervisor.acquire();
    await fake.until(first.terminate());
    const lease = await fake.until(patient);
    const refused = await outcome(tool());
    expect(refused).toMatchObject({ code: 'HARD_CAP', data: { alive: 1 } });
    expect((refused as SupervisorError).message).toContain(
      '0 processes are alive and 1 more have a place (leases, queued agents)',
    );
    const agent = lease.spawnHook()({ command: 'agent', args: [] });
    expect(agent.pid).toBeDefined();
    lease.release();
    await fake.until(agent.terminate());
    expect(await outcome(tool())).toBe('started');
  });

  it('has its place also while its start is held back', async () => {
    full();
    const first = tool();
    await first.started;
    const agent = hook();
    agent.stdin.end('prompt');
    await fake.until(first.terminate());
    expect(await outcome(tool())).toMatchObject({ code: 'HARD_CAP' });
    await fake.until(agent.started);
  });

  it('is an agent that replaces the one which fills it', async () => {
    setUp({ concurrency: 2, hardCap: 2 });
    const conversationId = 'one';
    const older = hook({ conversationId });
    await older.started;
    const other = tool();
    await other.started;
    const newer = hook({ conversationId });
    await fake.until(newer.started);
    expect((await fake.until(older.exited)).cause).toBe('duplicate');
  });
});
