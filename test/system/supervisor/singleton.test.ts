import { once } from 'node:events';
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runHost } from '../../../kit/host.ts';
import { createSupervisor, getSupervisor, type SupervisorOptions } from '../../../src/index.ts';
import { defineService } from '../../../src/service/index.ts';

const ROOT = join(import.meta.dirname, '../../..');
const KEY = Symbol.for('agent-supervisor.singleton.v1');

const host = globalThis as { [KEY]?: unknown };
let folder = '';
let options: SupervisorOptions;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'agent-supervisor-singleton-'));
  options = { stateDir: join(folder, 'state'), pool: { concurrency: 1 } };
  delete host[KEY];
});
afterEach(async () => {
  if (host[KEY] !== undefined) await getSupervisor().stop();
  delete host[KEY];
  rmSync(folder, { recursive: true, force: true });
});

const IN_USE = expect.objectContaining({
  code: 'INVALID_OPTIONS',
  message: expect.stringMatching(
    /options differ from those in force.*Pass them where the host first calls getSupervisor, or use createSupervisor/,
  ),
});

const USES: [string, () => Promise<unknown>][] = [
  ['start', () => getSupervisor().start()],
  ['acquire', () => getSupervisor().acquire()],
  ['spawn', () => getSupervisor().spawn({ command: 'no-such-agent' }).exited],
  ['stop', () => getSupervisor().stop()],
];

describe('getSupervisor', () => {
  it('is one for the host', () => {
    const supervisor = getSupervisor(options);
    expect(getSupervisor()).toBe(supervisor);
    expect(getSupervisor(structuredClone(options))).toBe(supervisor);
  });

  it('takes options until its first use, whoever called it before without or with others', async () => {
    const supervisor = getSupervisor();
    expect(getSupervisor({ ...options, pool: { concurrency: 2 } })).toBe(supervisor);
    expect(getSupervisor(options)).toBe(supervisor);
    await using _ = await supervisor.acquire();
    // The last ones are in force: one slot.
    await expect(supervisor.acquire({ timeoutMs: 1 })).rejects.toMatchObject({
      code: 'POOL_TIMEOUT',
    });
  });

  it('keeps the options in force when others are not valid', async () => {
    const supervisor = getSupervisor(options);
    expect(() => getSupervisor({ pool: { concurrency: 0 } })).toThrow(/"pool\.concurrency" is 0/);
    expect(getSupervisor(options)).toBe(supervisor);
    expect(await supervisor.start()).toMatchObject({ stateDir: options.stateDir });
  });

  it('is not made by options that are not valid', () => {
    expect(() => getSupervisor({ colour: 1 } as never)).toThrow(/unknown option "colour"/);
    expect(host[KEY]).toBeUndefined();
  });

  it.each(USES)('takes no other folder, guardian or tag after %s', async (_what, use) => {
    const supervisor = getSupervisor(options);
    await use();
    const others = { stateDir: join(folder, 'other'), guardian: false, rlimitTag: false };
    for (const [name, value] of Object.entries(others)) {
      const refused = (): unknown => getSupervisor({ ...options, [name]: value });
      expect(refused).toThrow(IN_USE);
      expect(refused).toThrow(expect.objectContaining({ data: { field: name } }));
    }
    expect(getSupervisor(structuredClone(options))).toBe(supervisor);
    expect(getSupervisor()).toBe(supervisor);
  });

  it.each(USES)('takes all others after %s, and names old and new', async (_what, use) => {
    const supervisor = getSupervisor(options);
    const warnings: string[] = [];
    supervisor.on('warning', ({ code, message }) => warnings.push(`${code} ${message}`));
    await use();
    const replaced: SupervisorOptions = {
      ...options,
      pool: { concurrency: 3 },
      leftovers: 'keep',
      ladder: { termMs: 50 },
      sweep: { intervalMs: 1000 },
      limits: { perKind: { agent: { idleMs: 99 } } },
      budget: { perHostUsd: 5 },
    };
    expect(getSupervisor(replaced)).toBe(supervisor);
    expect(getSupervisor(structuredClone(replaced))).toBe(supervisor);
    // Spelled out, but the same.
    expect(getSupervisor({ ...replaced, guardian: true })).toBe(supervisor);
    expect(warnings).toEqual([
      expect.stringMatching(/^OPTIONS_REPLACED .*pool\.concurrency 1 → 3/),
    ]);
    for (const part of ['leftovers "terminate" → "keep"', 'ladder.termMs 5000 → 50'])
      expect(warnings[0]).toContain(part);
    expect(warnings[0]).toContain('budget.perHostUsd undefined → 5');
    expect(warnings[0]).not.toContain('hardCap');
  });

  it('gives more slots at once, and fewer as they are released', async () => {
    const supervisor = getSupervisor(options);
    await using _ = await supervisor.acquire();
    const second = supervisor.acquire({ timeoutMs: 10_000 });
    getSupervisor({ ...options, pool: { concurrency: 2 } });
    (await second).release();
    getSupervisor(options);
    await expect(supervisor.acquire({ timeoutMs: 1 })).rejects.toMatchObject({
      code: 'POOL_TIMEOUT',
    });
  });

  it('ends what runs by the ladder that is in force by then', async () => {
    const ladder = { stdinEofMs: 0, termMs: 600_000, killMs: 5000 };
    const supervisor = getSupervisor({ ...options, ladder });
    const args = ['-c', 'trap "" TERM; echo up; while :; do sleep 0.05; done'];
    const child = supervisor.spawn({ command: 'sh', args });
    await once(child.stdout, 'data');
    getSupervisor({ ...options, ladder: { ...ladder, termMs: 20 } });
    expect(await child.terminate()).toMatchObject({ survivors: [], ended: [{ forced: true }] });
  });

  it('piles nothing up in twelve reloads', async () => {
    const supervisor = getSupervisor(options);
    await supervisor.start();
    const hooks: number[] = [];
    for (let reload = 1; reload <= 12; reload++) {
      expect(getSupervisor({ ...options, sweep: { intervalMs: 1000 + reload } })).toBe(supervisor);
      supervisor.handleSignals({ name: 'module', hook: () => void hooks.push(reload) });
      const service = defineService(supervisor, {
        ...{ name: 'reloaded', command: 'sh', args: ['-c', 'sleep 300'] },
        ready: { check: async () => true },
      });
      expect(service).toBe(defineService(supervisor, { name: 'reloaded', command: 'sleep' }));
    }
    expect(process.listenerCount('SIGTERM')).toBe(1);
  });

  it('keeps who listens when it takes other options', async () => {
    const events: unknown[] = [];
    getSupervisor().on('stopped', () => events.push('stopped'));
    await getSupervisor(options).stop();
    expect(events).toEqual(['stopped']);
  });

  it('is one, even if the package is loaded twice', async () => {
    cpSync(join(ROOT, 'src'), join(folder, 'src'), { recursive: true });
    cpSync(join(ROOT, 'package.json'), join(folder, 'package.json'));
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'), 'junction');
    const copy = join(folder, 'src/index.ts');
    const { lines, stderr } = await runHost('two-copies.ts', {
      args: [process.platform === 'win32' ? `file:///${copy}` : copy, join(folder, 'state')],
      env: { PATH: process.env['PATH'] ?? '' },
    });
    expect(stderr).toBe('');
    expect(JSON.parse(lines[0] ?? '')).toEqual({
      loadedTwice: true,
      oneSupervisor: true,
      isolatedOnes: true,
      refusal: [true, true],
      late: [true, true],
    });
  });
});

describe('createSupervisor', () => {
  it('makes one of its own each time', async () => {
    const [one, other] = [createSupervisor(options), createSupervisor(options)];
    expect(one).not.toBe(other);
    expect(one).not.toBe(getSupervisor(options));
    await Promise.all([one.start(), other.start()]);
    await using _ = await one.acquire();
    await using held = await other.acquire({ timeoutMs: 1 });
    expect(held).toBeDefined();
    await Promise.all([one.stop(), other.stop()]);
  });
});
