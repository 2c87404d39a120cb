// A host that is killed, and what is left of it then.
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { killHost } from '../../src/testing/index.ts';
import { findByArgument, readRow } from '../support/process-table.ts';
import { makeTempDir, removeTempDir } from '../support/real-agent.ts';
import { CAN_WATCH } from '../support/supervised.ts';

const HOST = join(import.meta.dirname, '../fixtures/hosts/killed.ts');
const NAIVE = join(import.meta.dirname, '../fixtures/hosts/naive.ts');

describe.runIf(CAN_WATCH)('killHost', () => {
  it.each(['SIGKILL', 'SIGTERM'] as const)('finds nothing left by %s', async (signal) => {
    const stateDir = await makeTempDir();
    const death = await killHost(HOST, { args: [stateDir], signal });
    expect(death).toMatchObject({ code: null, signal, after: [], stderr: '' });
    expect(death.lines[0]).toMatch(/^ready \d+/);
    // The program and its guardian; with the guardian off, the program would be left.
    expect(death.before.length).toBeGreaterThanOrEqual(2);
    expect(death.before.filter(({ pid }) => readRow(pid) !== undefined)).toEqual([]);
    await removeTempDir(stateDir);
  });

  it('names what is left, and ends it', async () => {
    const death = await killHost(NAIVE, { graceMs: 100, when: /^ready/ });
    expect(death.after).toHaveLength(1);
    expect(death.after).toEqual(death.before);
    expect(death.tookMs).toBeGreaterThanOrEqual(100);
    expect(death.after.filter(({ pid }) => readRow(pid) !== undefined)).toEqual([]);
  });

  it('tells why a host never became ready', async () => {
    const script = join(import.meta.dirname, 'no-such-host.ts');
    await expect(killHost(script)).rejects.toThrow(/ended before it said "ready".*Cannot find/s);
    await expect(killHost(NAIVE, { when: 'never', readyMs: 300 })).rejects.toThrow(
      'has not said "never" within 300 ms',
    );
    expect(findByArgument(NAIVE)).toEqual([]);
  });

  it('refuses what it does not know', async () => {
    await expect(killHost(HOST, { signals: 'SIGKILL' } as never)).rejects.toThrow(
      'unknown option "signals"',
    );
  });
});
