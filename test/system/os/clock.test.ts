// The system's clock: delays too long for a runtime's timer, and a time that all processes share.
import { uptime } from 'node:os';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { runHost } from '../../../kit/host.ts';
import { NO_RUNTIMES, runtime } from '../../../kit/runtimes.ts';
import { systemClock } from '../../../src/os/clock.ts';

const DAY_MS = 24 * 3_600_000;
/** More than a process takes to start, and much less than a session lasts. */
const TOLERANCE_MS = 10_000;

const RUNTIMES = [
  ['this Node', process.execPath],
  ['bun-1.2.2', await runtime('bun-1.2.2')],
  ['bun-current', await runtime('bun-current')],
] as const;

describe('a timer of 40 days', () => {
  let clock: typeof systemClock;
  beforeEach(async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    vi.resetModules();
    ({ systemClock: clock } = await import('../../../src/os/clock.ts'));
  });
  afterEach(() => void vi.useRealTimers());

  it('fires after 40 days, once, and not before', () => {
    const fired = vi.fn();
    clock.after(40 * DAY_MS, fired);
    vi.advanceTimersByTime(40 * DAY_MS - 1);
    expect(fired).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(fired).toHaveBeenCalledOnce();
    vi.advanceTimersByTime(100 * DAY_MS);
    expect(fired).toHaveBeenCalledOnce();
  });

  it.each([0, 30])('never fires once cancelled after %i of them', (days) => {
    const fired = vi.fn();
    const cancel = clock.after(40 * DAY_MS, fired);
    vi.advanceTimersByTime(days * DAY_MS);
    cancel();
    vi.advanceTimersByTime(100 * DAY_MS);
    expect(fired).not.toHaveBeenCalled();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('would fire at once as a timer of the runtime', () => {
    const fired = vi.fn();
    setTimeout(fired, 40 * DAY_MS);
    vi.advanceTimersByTime(1000);
    expect(fired).toHaveBeenCalledOnce();
  });
});

describe('the time since boot', () => {
  it('never goes back', () => {
    const times = Array.from({ length: 1000 }, () => systemClock.sinceBootMs());
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  });

  it('is not permanently behind in a process that was delayed at its first reading', async () => {
    const { bigint } = process.hrtime;
    vi.resetModules();
    vi.spyOn(process.hrtime, 'bigint').mockImplementationOnce(() => {
      const time = bigint();
      const untilMs = performance.now() + 50;
      while (performance.now() < untilMs);
      return time;
    });
    const fresh = await import('../../../src/os/clock.ts');
    fresh.systemClock.sinceBootMs();
    expect(vi.mocked(process.hrtime.bigint)).toHaveBeenCalled();
    vi.restoreAllMocks();
    const before = Number(bigint()) / 1e6;
    const now = fresh.systemClock.sinceBootMs();
    expect(now).toBeGreaterThanOrEqual(before);
    expect(now).toBeLessThanOrEqual(Number(bigint()) / 1e6);
  });

  it.for(RUNTIMES)(
    `is the same in a process under %s (${NO_RUNTIMES})`,
    async ([, program], context) => {
      context.skip(program === undefined);
      const env = { PATH: process.env['PATH'] ?? '' };
      const { lines } = await runHost('since-boot.ts', { args: [], env, runtime: program });
      // A machine that has slept was up for longer than it ran.
      const least = Math.min(systemClock.sinceBootMs(), uptime() * 1000) - TOLERANCE_MS;
      const most = Math.max(systemClock.sinceBootMs(), uptime() * 1000) + TOLERANCE_MS;
      expect(Number(lines[0])).toBeGreaterThan(least);
      expect(Number(lines[0])).toBeLessThan(most);
    },
  );
});
