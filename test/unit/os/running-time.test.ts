// Time that passes only while the host runs, over timers that a freeze delays, as SIGSTOP does.
import fc from 'fast-check';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeClock } from '../../../kit/fake-clock.ts';
import { runs } from '../../../kit/property.ts';
import { GAP_MS, TickingTime } from '../../../src/os/running-time.ts';

/** A gap may begin this long after the last tick, and counts from that tick. */
const TICK_MS = 500;
const FREEZE_MS = 10_000;

let machine: FakeClock;
let time: TickingTime;
beforeEach(() => {
  machine = new FakeClock();
  time = new TickingTime(machine);
});

describe('running time', () => {
  it('passes as real time does while nothing is stopped', async () => {
    time.watch();
    await machine.advance(FREEZE_MS);
    expect(time.monotonicMs()).toBe(FREEZE_MS);
  });

  it('leaves out a watched gap, and the unobserved time before it', async () => {
    const watch = time.watch();
    await machine.advance(1200);
    await machine.freeze(FREEZE_MS);
    expect(watch.pausedMs).toBe(FREEZE_MS + 200);
    expect(time.monotonicMs()).toBe(1000);
    await machine.advance(700);
    await machine.freeze(FREEZE_MS);
    expect(watch.pausedMs).toBeGreaterThanOrEqual(2 * FREEZE_MS);
    expect(watch.pausedMs).toBeLessThanOrEqual(2 * (FREEZE_MS + TICK_MS));
  });

  it('counts a pause that is too short to be a gap', async () => {
    const watch = time.watch();
    await machine.freeze(GAP_MS);
    expect([watch.pausedMs, time.monotonicMs()]).toEqual([0, GAP_MS]);
    await machine.freeze(GAP_MS + 1);
    expect([watch.pausedMs, time.monotonicMs()]).toEqual([GAP_MS + 1, GAP_MS]);
  });

  it('tells a watch only of the gaps since it began', async () => {
    const first = time.watch();
    await machine.freeze(FREEZE_MS);
    const second = time.watch();
    expect([first.pausedMs, second.pausedMs]).toEqual([FREEZE_MS, 0]);
  });

  it('has a timer only while somebody watches or waits, and none that keeps a host alive', async () => {
    expect(machine.timers).toEqual([]);
    const watch = time.watch();
    const other = time.watch();
    await machine.advance(60_000);
    expect(machine.timers).toEqual([{ inMs: TICK_MS, keepAlive: false }]);
    watch.stop();
    watch.stop();
    await machine.advance(60_000);
    expect(machine.timers).toHaveLength(1);
    other.stop();
    await machine.advance(TICK_MS);
    expect(machine.timers).toEqual([]);
    time.after(100, () => undefined)();
    await machine.advance(TICK_MS);
    expect(machine.timers).toEqual([]);
  });

  it('misses no gap between the calls of a poller', async () => {
    const beganMs = time.monotonicMs();
    time.after(20, () => undefined);
    await machine.advance(20);
    await machine.freeze(FREEZE_MS);
    expect(time.monotonicMs() - beganMs).toBeLessThanOrEqual(20);
  });
});

describe('a timer in running time', () => {
  it('waits on after a gap for the time that was left', async () => {
    const fired = vi.fn();
    time.after(5000, fired, { keepAlive: true });
    await machine.advance(3000);
    await machine.freeze(FREEZE_MS);
    await machine.advance(1999);
    expect(fired).not.toHaveBeenCalled();
    expect(machine.timers).toContainEqual({ inMs: 1, keepAlive: true });
    await machine.advance(1);
    expect(fired).toHaveBeenCalledOnce();
    await machine.advance(FREEZE_MS);
    expect(fired).toHaveBeenCalledOnce();
  });

  it('would have fired by then as a timer of the machine', async () => {
    const fired = vi.fn();
    machine.after(5000, fired);
    await machine.advance(3000);
    await machine.freeze(FREEZE_MS);
    expect(fired).toHaveBeenCalledOnce();
  });

  it('fires when it is due, however early its own timer fires', async () => {
    const fired = vi.fn();
    const early = { ...machine, monotonicMs: () => machine.monotonicMs() };
    const after = (ms: number, callback: () => void) => machine.after(ms - 1, callback);
    new TickingTime({ ...early, after }).after(5000, fired);
    await machine.advance(4999);
    expect(fired).toHaveBeenCalledOnce();
  });

  it.each([0, 3000])('never fires once cancelled, %i ms after a gap', async (ms) => {
    const fired = vi.fn();
    const cancel = time.after(5000, fired);
    await machine.freeze(FREEZE_MS);
    await machine.advance(ms);
    cancel();
    await machine.advance(FREEZE_MS);
    expect(fired).not.toHaveBeenCalled();
    expect(machine.timers).toEqual([]);
  });

  it('never fires before the host has run that long, nor much later, whatever the gaps', async () => {
    const step = fc.record({
      runMs: fc.integer({ min: 0, max: 3000 }),
      freezeMs: fc.integer({ min: GAP_MS + 1, max: 60_000 }),
    });
    const property = fc.asyncProperty(
      fc.integer({ min: 1, max: 20_000 }),
      fc.array(step, { maxLength: 8 }),
      async (ms, steps) => {
        machine = new FakeClock();
        let ranMs: number | undefined;
        let frozenMs = 0;
        let gaps = 0;
        new TickingTime(machine).after(ms, () => {
          ranMs = machine.monotonicMs() - frozenMs;
        });
        for (const { runMs, freezeMs } of steps) {
          await machine.advance(runMs);
          if (ranMs !== undefined) break;
          frozenMs += freezeMs;
          gaps++;
          await machine.freeze(freezeMs);
        }
        await machine.advance(ms + gaps * TICK_MS);
        expect(ranMs).toBeGreaterThanOrEqual(ms);
        expect(ranMs).toBeLessThanOrEqual(ms + gaps * TICK_MS);
      },
    );
    await fc.assert(property, runs(100, { costly: 100 }));
  });
});
