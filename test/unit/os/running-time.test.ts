// The time that goes on only while the host runs, over timers that a freeze makes late, as SIGSTOP does.
import fc from 'fast-check';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeClock } from '../../../kit/fake-clock.ts';
import { runs } from '../../../kit/property.ts';
import { GAP_MS, TickingTime } from '../../../src/os/running-time.ts';

/** A gap may begin so long after the last tick, and counts from that on. */
const TICK_MS = 500;
const FREEZE_MS = 10_000;

let machine: FakeClock;
let time: TickingTime;
beforeEach(() => {
  machine = new FakeClock();
  time = new TickingTime(machine);
});

describe('running time', () => {
  it('goes on as time does while nothing stands still', async () => {
    time.watch();
    await machine.advance(FREEZE_MS);
    expect(time.monotonicMs()).toBe(FREEZE_MS);
  });

  it('leaves out a gap that is watched, and as much as was not seen of it before', async () => {
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

  it('counts what is no longer than a gap has to be', async () => {
    const watch = time.watch();
    await machine.freeze(GAP_MS);
    expect([watch.pausedMs, time.monotonicMs()]).toEqual([0, GAP_MS]);
    await machine.freeze(GAP_MS + 1);
    expect([watch.pausedMs, time.monotonicMs()]).toEqual([GAP_MS + 1, GAP_MS]);
  });

  it('tells a watch of the gaps since its own beginning', async () => {
    const first = time.watch();
    await machine.freeze(FREEZE_MS);
    const second = time.watch();
    expect([first.pausedMs, second.pausedMs]).toEqual([FREEZE_MS, 0]);
  });

  it('has a timer, none of which keeps a host alive, only while somebody watches or waits', async () => {
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

  it('misses no gap between the looks of one who polls', async () => {
    const beganMs = time.monotonicMs();
    time.after(20, () => undefined);
    await machine.advance(20);
    await machine.freeze(FREEZE_MS);
    expect(time.monotonicMs() - beganMs).toBeLessThanOrEqual(20);
  });
});

describe('a timer in running time', () => {
  it('waits on after a gap, for what it still had to wait', async () => {
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

  it('would be over by then as a timer of the machine', async () => {
    const fired = vi.fn();
    machine.after(5000, fired);
    await machine.advance(3000);
    await machine.freeze(FREEZE_MS);
    expect(fired).toHaveBeenCalledOnce();
  });

  it('fires when it is due, however early its own timer comes', async () => {
    const fired = vi.fn();
    const early = { ...machine, monotonicMs: () => machine.monotonicMs() };
    const after = (ms: number, callback: () => void) => machine.after(ms - 1, callback);
    new TickingTime({ ...early, after }).after(5000, fired);
    await machine.advance(4999);
    expect(fired).toHaveBeenCalledOnce();
  });

  it.each([0, 3000])('fires never when it was cancelled, %i ms after a gap', async (ms) => {
    const fired = vi.fn();
    const cancel = time.after(5000, fired);
    await machine.freeze(FREEZE_MS);
    await machine.advance(ms);
    cancel();
    await machine.advance(FREEZE_MS);
    expect(fired).not.toHaveBeenCalled();
    expect(machine.timers).toEqual([]);
  });

  it('never fires before the host has run for so long, nor much later, whatever gaps there are', async () => {
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
