import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runHost } from '../../../kit/host.ts';
import { createSupervisor, getSupervisor, type SupervisorOptions } from '../../../src/index.ts';

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
  data: { field: 'options' },
});

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

  it.each([
    ['start', () => getSupervisor().start()],
    ['acquire', () => getSupervisor().acquire()],
    ['spawn', () => getSupervisor().spawn({ command: 'no-such-agent' }).exited],
    ['stop', () => getSupervisor().stop()],
  ])('takes no other options after %s', async (_what, use) => {
    const supervisor = getSupervisor(options);
    await use();
    expect(() => getSupervisor({ ...options, leftovers: 'keep' })).toThrow(IN_USE);
    expect(getSupervisor(structuredClone(options))).toBe(supervisor);
    expect(getSupervisor()).toBe(supervisor);
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
