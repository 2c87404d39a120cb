import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { isGuardian } from '../../../src/os/guardian-name.ts';
import { parsePidSupply, readPidSupply, recentPidSupply } from '../../../src/os/pid-supply.ts';
import { fileTimeMs, secondsMs, ticksMs } from '../../../src/os/start-time.ts';

const STAT = 'cpu  1 2 3\nintr 9 8\nbtime 1700000000\nprocesses 54767\nprocs_running 1\n';
const LOADAVG = '10.66 12.33 7.91 8/284 22375\n';

describe("the kernel's pid counters", () => {
  it('are combined from three files', () => {
    expect(parsePidSupply(STAT, LOADAVG, '32768\n')).toEqual({
      ...{ forks: 54_767, last: 22_375, max: 32_768, tasks: 284 },
    });
  });

  it.each([
    ['no forks', STAT.replace('processes', 'others'), LOADAVG, '32768'],
    [
      'another line with the same ending',
      STAT.replace('processes', 'my_processes'),
      LOADAVG,
      '32768',
    ],
    ['zeros, as gVisor writes them', STAT, '0.00 0.00 0.00 0/0 0\n', '32768'],
    ['nothing', '', '', ''],
    ['a maximum that is no number', STAT, LOADAVG, 'many'],
    ['no last pid', STAT, '10.66 12.33 7.91 8/284\n', '32768'],
  ])('are unknown with %s', (_what, stat, loadavg, pidMax) => {
    expect(parsePidSupply(stat, loadavg, pidMax)).toBeUndefined();
  });

  it.runIf(process.platform === 'linux')('move on with each process', () => {
    const before = readPidSupply();
    const { pid } = spawnSync('true');
    const after = readPidSupply();
    expect(after?.forks).toBeGreaterThan(before?.forks ?? Number.POSITIVE_INFINITY);
    expect(after?.max).toBe(before?.max);
    expect(pid).toBeLessThan(after?.max ?? 0);
    expect(recentPidSupply()).toEqual(after);
  });
});

describe('a start time on the wall clock', () => {
  it('is that of this process', () => {
    const startedMs = Date.now() - performance.now();
    // The start time in ticks from /proc, and that of a process that has just started.
    expect(secondsMs(String(Math.floor(startedMs / 1000)))).toBeLessThanOrEqual(startedMs);
    expect(ticksMs('1', 1e12)).toBeLessThan(1e12);
  });

  it('counts in units of 100 ns from 1601 on Windows', () => {
    expect(fileTimeMs('133444736000000000')).toBe(1_700_000_000_000);
  });

  it.each(['', '0', '-1', 'x', '1.5'])('is unknown for "%s"', (startTime) => {
    expect([ticksMs, secondsMs, fileTimeMs].map((of) => of(startTime))).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  it('is never in the future', () => {
    expect(secondsMs('99999999999', 1000)).toBe(1000);
    expect(ticksMs('99999999999999', 1000)).toBe(1000);
  });
});

it('a process that only runs the tests is no guardian', () => {
  expect([isGuardian(process.pid), isGuardian(2 ** 22 + 1)]).toEqual([false, false]);
});
