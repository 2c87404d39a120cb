// A host that is killed, and the processes that it leaves.
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findByArgument, readRow } from '../../../kit/process-table.ts';
import { makeTempDir, removeTempDir } from '../../../kit/real-agent.ts';
import { CAN_WATCH } from '../../../kit/supervised.ts';
import { killHost } from '../../../src/testing/index.ts';

const HOST = join(import.meta.dirname, '../../fixtures/hosts/killed.ts');
const NAIVE = join(import.meta.dirname, '../../fixtures/hosts/naive.ts');

describe.runIf(CAN_WATCH)('killHost', () => {
  it.each(['SIGKILL', 'SIGTERM'] as const)('finds nothing left by %s', async (signal) => {
    const stateDir = await makeTempDir();
    const death = await killHost(HOST, { args: [stateDir], signal });
    expect(death).toMatchObject({ code: null, signal, after: [], stderr: '' });
    expect(death.lines[0]).toMatch(/^ready \d+/);
    // The program would be left with the guardian off. The guardian itself is no child of its host.
    expect(death.before).toHaveLength(1);
    expect(death.before.filter(({ pid }) => readRow(pid) !== undefined)).toEqual([]);
    await removeTempDir(stateDir);
  });

  it('names the processes that are left, and ends them', async () => {
    const death = await killHost(NAIVE, { graceMs: 100, when: /^ready/ });
    expect(death.after).toHaveLength(1);
    expect(death.after).toEqual(death.before);
    expect(death.tookMs).toBeGreaterThanOrEqual(100);
    expect(death.after.filter(({ pid }) => readRow(pid) !== undefined)).toEqual([]);
  });

  it('throws with the stderr of a host that never became ready', async () => {
    const script = join(import.meta.dirname, 'no-such-host.ts');
    await expect(killHost(script)).rejects.toThrow(/ended before it said "ready".*Cannot find/s);
    await expect(killHost(NAIVE, { when: 'never', readyMs: 300 })).rejects.toThrow(
      'has not said "never" within 300 ms',
    );
    expect(findByArgument(NAIVE)).toEqual([]);
  });

  it('throws for a host that survives the signal, and ends it', async () => {
    await expect(killHost(NAIVE, { signal: 'SIGCONT', graceMs: 200 })).rejects.toThrow(
      /naive\.ts has not died of SIGCONT within 200 ms/,
    );
    expect(findByArgument(NAIVE)).toEqual([]);
  });

  it.each([
    [HOST, { signals: 'SIGKILL' }, 'unknown option "signals"'],
    [HOST, { signal: 'KILL' }, '"signal" is "KILL", but must be a signal, such as SIGTERM'],
    [HOST, { signal: 'SIGFOO' }, '"signal" is "SIGFOO", but must be a signal, such as SIGTERM'],
    [HOST, { when: 5 }, '"when" is 5, but must be how the line begins, or a pattern'],
    [undefined, {}, '"script" is undefined, but must be a path, or a file: URL'],
    [new URL('http://127.0.0.1/x'), {}, 'but must be a path, or a file: URL'],
  ])('refuses what it does not know: %s, %j', async (script, options, message) => {
    await expect(killHost(script as never, options as never)).rejects.toThrow(message);
  });
});
