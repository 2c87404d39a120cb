import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { eventually } from '../../../kit/eventually.ts';
import {
  createTestSupervisor,
  FakeMachine,
  fakeAgent,
  fakeProgram,
} from '../../../src/testing/index.ts';

const REQUEST = { command: 'indexer', slot: true };
const QUICK = { ladder: { stdinEofMs: 0, termMs: 500 }, pool: { machineConcurrency: 1 } };

describe('test supervisors that share a machine', () => {
  it('run one after the other', async () => {
    const machine = new FakeMachine();
    const indexer = fakeProgram();
    const options = { ...QUICK, machine, programs: { indexer } };
    await using one = createTestSupervisor(options);
    await using other = createTestSupervisor(options);
    await Promise.all([one.start(), other.start()]);
    const first = one.spawn(REQUEST);
    await first.started;
    const second = other.spawn(REQUEST);
    expect([machine.held, machine.waiting, other.list()]).toEqual([1, 1, []]);
    await first.terminate();
    await second.started;
    expect([machine.held, machine.waiting]).toEqual([1, 0]);
    await second.terminate();
    expect(machine.held).toBe(0);
  });

  it('run together without one (control)', async () => {
    const options = { ...QUICK, programs: { indexer: fakeProgram() } };
    await using one = createTestSupervisor(options);
    await using other = createTestSupervisor(options);
    await Promise.all([one.spawn(REQUEST).started, other.spawn(REQUEST).started]);
  });

  it('share the slots of a state directory in files', async () => {
    const stateDir = mkdtempSync(join(tmpdir(), 'agent-supervisor-shared-'));
    try {
      const options = { ...QUICK, stateDir, programs: { indexer: fakeProgram() } };
      await using one = createTestSupervisor(options);
      await using other = createTestSupervisor(options);
      const first = one.spawn(REQUEST);
      await first.started;
      const second = other.spawn(REQUEST);
      await eventually(() => other.internals.snapshot().pool.machineObstacle);
      expect(other.list()).toEqual([]);
      await first.terminate();
      await second.started;
    } finally {
      rmSync(stateDir, { recursive: true, force: true });
    }
  });

  it('refuse a machine that is none', () => {
    // @ts-expect-error
    expect(() => createTestSupervisor({ machine: {}, agent: fakeAgent([]) })).toThrow(
      /must be a new FakeMachine\(\)/,
    );
  });
});
