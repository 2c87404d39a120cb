import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../../kit/fake-clock.ts';
import { CpuShares } from '../../../src/os/cpu-shares.ts';
import { parseUsage } from '../../../src/os/linux-usage.ts';

const UNITS = { pageBytes: 4096, tickMs: 10 };

describe('a line of /proc/PID/stat', () => {
  const line = (name: string) =>
    `7 (${name}) S 1 7 7 0 -1 4194560 100 0 0 0 25 5 99 99 20 0 1 0 1000 5000000 300 18446744073709551615`;

  it.each(['sleep', 'a b', ') S 9 9', 'two\nlines', ''])(
    'of "%s" tells time and memory',
    (name) => {
      const expected = { cpuTimeMs: 300, rssBytes: 300 * 4096, ageMs: 2000 };
      expect(parseUsage(line(name), 12_000, UNITS)).toEqual(expected);
    },
  );

  it('is not read from any other text', () => {
    expect(parseUsage('', 12_000, UNITS)).toBeUndefined();
    expect(parseUsage('7 (sleep) S 1 7', 12_000, UNITS)).toBeUndefined();
    fc.assert(
      fc.property(fc.string(), (text) => {
        const one = parseUsage(text, 12_000, UNITS);
        expect(Object.values(one ?? {}).every((value) => Number.isFinite(value))).toBe(true);
      }),
    );
  });
});

describe('the share of a core', () => {
  const setUp = () => {
    const clock = new FakeClock();
    const shares = new CpuShares(clock);
    const percent = (pid: number, cpuTimeMs: number, ageMs: number) =>
      shares.of(new Map([[pid, { cpuTimeMs, ageMs, rssBytes: 1 }]])).get(pid)?.cpuPercent;
    return { clock, shares, percent };
  };

  it('counts from the start at first, then from the sample before', async () => {
    const { clock, percent } = setUp();
    expect(percent(7, 500, 1000)).toBe(50);
    await clock.advance(1000);
    expect(percent(7, 500, 2000)).toBe(0);
    await clock.advance(2000);
    expect(percent(7, 2500, 4000)).toBe(100);
  });

  it('is the previous one if too little time has passed', async () => {
    const { clock, percent } = setUp();
    expect(percent(7, 500, 1000)).toBe(50);
    await clock.advance(20);
    expect(percent(7, 520, 1020)).toBe(50);
    await clock.advance(380);
    expect(percent(7, 700, 1400)).toBe(50);
  });

  it('starts anew for a later process with the same pid', async () => {
    const { clock, percent } = setUp();
    percent(7, 500, 100_000);
    await clock.advance(1000);
    expect(percent(7, 600, 800)).toBe(75);
    await clock.advance(1000);
    expect(percent(7, 10, 1800)).toBeCloseTo(0.56);
  });

  it('is forgotten for processes that are no longer sampled', async () => {
    const { clock, shares, percent } = setUp();
    for (let pid = 2; pid < 1000; pid++) percent(pid, 0, 1);
    expect(shares.size).toBe(998);
    await clock.advance(121_000);
    percent(1000, 0, 1);
    expect(shares.size).toBe(1);
  });
});
