// Supervisors of one state directory that share the slots of a machine, on an operating system in memory.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeOs } from '../../../kit/fake-os.ts';
import { FakeSupervision } from '../../../kit/fake-supervisor.ts';
import type { SupervisorOptions } from '../../../src/index.ts';
import { machineSlotsPath } from '../../../src/store/layout.ts';

let os: FakeOs;
let stateDir: string;
let hosts: FakeSupervision[];

beforeEach(() => {
  os = new FakeOs();
  stateDir = mkdtempSync(join(tmpdir(), 'agent-supervisor-machine-'));
  hosts = [];
});
afterEach(async () => {
  for (const { supervisor } of hosts) await os.clock.until(supervisor.stop());
  expect(existsSync(machineSlotsPath(stateDir))).toBe(false);
  rmSync(stateDir, { recursive: true, force: true });
});

function host(pool: SupervisorOptions['pool']): FakeSupervision {
  const made = new FakeSupervision({ stateDir, pool }, 'linux', os);
  hosts.push(made);
  return made;
}

const waits = ({ supervisor }: FakeSupervision) => supervisor.internals.snapshot().pool;

describe('supervisors that share the slots of a machine', () => {
  it('start an agent when that of another host is gone', async () => {
    const [one, other] = [host({ machineConcurrency: 1 }), host({ machineConcurrency: 1 })];
    const first = one.spawn('first');
    const second = other.spawn('second');
    await os.clock.advance(1000);
    expect([os.launches.length, waits(other).held]).toEqual([1, 0]);
    expect(waits(other).machineObstacle).toMatch(/^all 1 slots of this machine are held: pid /);
    await os.clock.until(first.terminate({ force: true }));
    await os.clock.advance(1000);
    expect(second.pid).toBeDefined();
  });

  it('hold none for what waits for a slot of its own host', async () => {
    const pool = { concurrency: 1, machineConcurrency: 2 };
    const [one, other] = [host(pool), host(pool)];
    one.spawn('first');
    one.spawn('second');
    other.spawn('third');
    await os.clock.advance(1000);
    expect(os.launches.map(({ command }) => command)).toEqual(['first', 'third']);
    expect(waits(one).machineObstacle).toBeUndefined();
  });

  it('count leases, and name the holders to those that give up', async () => {
    const [one, other] = [host({ machineConcurrency: 1 }), host({ machineConcurrency: 1 })];
    await os.clock.until(one.supervisor.acquire({ unusedMs: null }));
    const refused = other.supervisor.acquire({ timeoutMs: 500 }).catch((error: unknown) => error);
    expect(await os.clock.until(refused)).toMatchObject({
      code: 'POOL_TIMEOUT',
      message: expect.stringContaining('pool.machineConcurrency'),
      data: { timeoutMs: 500, obstacle: expect.stringContaining('pid') },
    });
    expect(waits(other).held).toBe(0);
  });

  it('take another number while they run', async () => {
    const [one, other] = [host({ machineConcurrency: 1 }), host({ machineConcurrency: 2 })];
    one.spawn('first');
    const second = other.spawn('second');
    await os.clock.advance(1000);
    expect(second.pid).toBeUndefined();
    one.supervisor.configure({ stateDir, pool: { machineConcurrency: 2 } });
    await os.clock.advance(1000);
    expect(second.pid).toBeDefined();
    other.supervisor.configure({ stateDir, pool: {} });
    other.spawn('third');
    await os.clock.advance(1000);
    expect(os.launches).toHaveLength(3);
  });

  it('refuse what cannot be counted at all', async () => {
    rmSync(stateDir, { recursive: true });
    writeFileSync(stateDir, 'no folder');
    const refused = host({ machineConcurrency: 1 })
      .supervisor.acquire()
      .catch((error: unknown) => error);
    expect(await os.clock.until(refused)).toMatchObject({ code: 'STATE_DIR_UNSAFE' });
    hosts = [];
    rmSync(stateDir);
  });
});
