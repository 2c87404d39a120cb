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
