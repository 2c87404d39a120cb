import { describe, expect, it } from 'vitest';
import { eventually } from '../../../kit/process-table.ts';
import type { ExitReport } from '../../../src/index.ts';
import { createTestSupervisor, FakeClock, fakeAgent, hang } from '../../../src/testing/index.ts';

describe('FakeClock', () => {
  it('stands still until it is moved', async () => {
    const clock = new FakeClock();
    const before = [clock.now(), clock.monotonicMs(), clock.sinceBootMs()];
    await clock.settle();
    expect([clock.now(), clock.monotonicMs(), clock.sinceBootMs()]).toEqual(before);
    await clock.advance(5);
    expect([clock.now(), clock.monotonicMs(), clock.sinceBootMs()]).toEqual(
      before.map((ms) => ms + 5),
    );
    expect(new Set(before).size).toBe(3);
  });

  it('fires due timers in order, with their follow-up work', async () => {
    const clock = new FakeClock();
    const fired: string[] = [];
    const fire = (name: string) => (): void => void fired.push(`${name} ${clock.monotonicMs()}`);
    clock.after(20, fire('late'));
    clock.after(10, () => {
      fire('early')();
      void Promise.resolve().then(() => clock.after(5, fire('following')));
    });
    clock.after(15, fire('never'))();
    clock.after(21, fire('too late'), { keepAlive: true });
    await clock.advance(20);
    expect(fired).toEqual(['early 10', 'following 15', 'late 20']);
    expect(clock.timers).toEqual([{ inMs: 1, keepAlive: true }]);
  });

  it('sets the wall clock alone', () => {
    const clock = new FakeClock();
    clock.setWall(42);
    expect([clock.now(), clock.monotonicMs()]).toEqual([42, 0]);
  });

  it('stands still as a stopped host does: running time stops, and its timers are late', async () => {
    const clock = new FakeClock();
    const fired: string[] = [];
    const fire = (name: string) => (): void => void fired.push(`${name} ${clock.monotonicMs()}`);
    clock.after(3000, fire('real'));
    clock.running.after(3000, fire('running'));
    const watch = clock.running.watch();
    await clock.advance(1000);
    const wallMs = clock.now();
    await clock.freeze(10_000);
    expect([clock.now() - wallMs, clock.monotonicMs()]).toEqual([10_000, 11_000]);
    expect([clock.running.monotonicMs(), watch.pausedMs]).toEqual([1000, 10_000]);
    expect(clock.timers).toEqual([{ inMs: 2000, keepAlive: false }]);
    await clock.freeze(2000);
    expect(watch.pausedMs).toBe(10_000);
    expect(fired).toEqual(['real 11000', 'running 13000']);
  });

  it('moves until a promise settles, and no longer than the limit', async () => {
    const clock = new FakeClock();
    const later = new Promise<string>((resolve) => void clock.after(500, () => resolve('done')));
    expect(await clock.until(later)).toBe('done');
    expect(clock.monotonicMs()).toBe(500);
    await expect(clock.until(new Promise(() => undefined), 10)).rejects.toThrow('not settled');
  });

  it('throws when a timer is set with timers: false', () => {
    expect(() => new FakeClock({ timers: false }).after(1, () => undefined)).toThrow('unexpected');
  });

  it('takes an agent that hangs down the ladder, step by step', async () => {
    const clock = new FakeClock();
    const agent = fakeAgent([hang({ ignoresSigterm: true })]);
    await using supervisor = createTestSupervisor({
      ...{ agent, clock, guardian: false },
      ladder: { killMs: 60_000 },
    });
    const process = supervisor.spawnHook()({
      command: 'claude',
      args: ['--input-format', 'stream-json'],
    });
    process.stdin.write(`${JSON.stringify({ type: 'user', message: { content: 'x' } })}\n`);
    await new Promise((resolve) => process.stdout.once('data', resolve));
    const beganMs = clock.monotonicMs();
    let ended: readonly ExitReport[] | undefined;
    void process.terminate().then((report) => {
      ended = report.ended;
    });
    // Reads of the process table take real time.
    await eventually(() => clock.advance(200).then(() => ended));
    expect(ended).toMatchObject([{ signal: 'SIGKILL', forced: true }]);
    // Two seconds from the end of stdin to SIGTERM, five more to SIGKILL.
    expect(clock.monotonicMs() - beganMs).toBeGreaterThanOrEqual(7000);
  });
});
