import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../../kit/fake-clock.ts';
import type { SupervisedProcess } from '../../../src/index.ts';
import { Slot } from '../../../src/policy/pool.ts';
import { SlotLease } from '../../../src/supervisor/lease.ts';

const UNUSED_MS = 60_000;

/** A process as a lease sees it, and its end in the test's hands. */
function fakeProcess() {
  const { promise: exited, resolve } = Promise.withResolvers<void>();
  let slot: Slot | undefined;
  const process = {
    exited,
    terminated: 0,
    async terminate() {
      process.terminated++;
      await exited;
    },
    /** The tree is seen dead. */
    die() {
      slot?.release();
      resolve();
    },
    holds(held: Slot) {
      slot = held;
      return process;
    },
  };
  return process;
}

type FakeLeased = ReturnType<typeof fakeProcess>;

function rig(start: (slot: Slot) => FakeLeased = (slot) => fakeProcess().holds(slot)) {
  const clock = new FakeClock();
  const log: string[] = [];
  const lease = new SlotLease({
    slot: new Slot(() => log.push('slot released')),
    sessionId: 'session',
    clock,
    unusedMs: UNUSED_MS,
    spawn: ({ command }, slot) => {
      log.push(`spawn ${command}`);
      return start(slot) as unknown as SupervisedProcess;
    },
    expired: () => log.push('expired'),
    released: () => log.push('released'),
  });
  const spawn = (command: string) => lease.spawn({ command }) as unknown as FakeLeased;
  return { clock, lease, log, spawn };
}

describe('Lease', () => {
  it('starts one process after another on its slot', () => {
    const { log, spawn } = rig();
    for (const request of ['a', 'b']) spawn(request).die();
    expect(log).toEqual(['spawn a', 'spawn b']);
  });

  it('starts no second one while one lives', () => {
    const { log, spawn } = rig();
    spawn('a');
    expect(() => spawn('b')).toThrow(
      expect.objectContaining({
        code: 'INVALID_OPTIONS',
        message: expect.stringMatching(/holds a live process.*exited/),
      }),
    );
    expect(log).toEqual(['spawn a']);
  });

  it('starts nothing once it is released', () => {
    const { lease, log, spawn } = rig();
    lease.release();
    expect(() => spawn('a')).toThrow(
      expect.objectContaining({
        code: 'INVALID_OPTIONS',
        message: expect.stringMatching(/has been released.*acquire another/),
      }),
    );
    expect(log).toEqual(['slot released', 'released']);
  });

  it('gives its slot back at once when it is unused, and once only', () => {
    const { lease, log, clock } = rig();
    lease.release();
    lease.release();
    expect(log).toEqual(['slot released', 'released']);
    expect(clock.timers).toEqual([]);
  });

  it("gives its slot back at its process's death when it is used", () => {
    const { lease, log, spawn } = rig();
    const process = spawn('a');
    lease.release();
    lease.release();
    expect(log).toEqual(['spawn a']);
    expect(process.terminated).toBe(0);
    process.die();
    expect(log).toEqual(['spawn a', 'slot released', 'released']);
  });

  it('keeps its slot after a failed start, told at once or later', async () => {
    const starts = [
      (slot: Slot) => {
        slot.release();
        return fakeProcess();
      },
      (slot: Slot) => fakeProcess().holds(slot),
    ];
    const { log, spawn } = rig((slot) => (starts.shift() ?? starts[0])?.(slot) ?? fakeProcess());
    spawn('fails at once');
    spawn('fails later').die();
    spawn('runs');
    expect(log).toEqual(['spawn fails at once', 'spawn fails later', 'spawn runs']);
  });

  it('keeps its slot when a spawn throws', () => {
    const { lease, log, spawn } = rig(() => {
      throw new Error('bad request');
    });
    expect(() => spawn('bad')).toThrow('bad request');
    lease.release();
    expect(log).toEqual(['spawn bad', 'slot released', 'released']);
  });

  it('is busy as soon as a start begins: the host may come back in the middle of it', () => {
    const { lease, log, spawn } = rig((slot) => {
      // As `onSpawn` can.
      expect(() => spawn('again')).toThrow(/holds a live process/);
      lease.release();
      return fakeProcess().holds(slot);
    });
    const process = spawn('a');
    expect(log).toEqual(['spawn a']);
    process.die();
    expect(log).toEqual(['spawn a', 'slot released', 'released']);
  });

  describe('left unused', () => {
    it('is released with a warning after its time, counted from the last use', async () => {
      const { log, clock, spawn } = rig();
      await clock.advance(UNUSED_MS - 1);
      const process = spawn('a');
      await clock.advance(10 * UNUSED_MS);
      process.die();
      await clock.advance(UNUSED_MS - 1);
      expect(log).toEqual(['spawn a']);
      await clock.advance(1);
      expect(log).toEqual(['spawn a', 'slot released', 'released', 'expired']);
      expect(() => spawn('b')).toThrow(/has been released/);
    });

    it('does not keep a host alive', () => {
      const { clock } = rig();
      expect(clock.timers).toEqual([{ inMs: UNUSED_MS, keepAlive: false }]);
    });

    it('goes on counting after a failed start', async () => {
      const { log, clock, spawn } = rig((slot) => {
        slot.release();
        return fakeProcess();
      });
      spawn('fails');
      expect(clock.timers).toHaveLength(1);
      await clock.advance(UNUSED_MS);
      expect(log).toContain('expired');
    });
  });

  it('ends its process when it is disposed, and waits for that end', async () => {
    const { lease, log, spawn } = rig();
    const process = spawn('a');
    let disposed = false;
    const disposing = lease[Symbol.asyncDispose]().then(() => {
      disposed = true;
    });
    expect(process.terminated).toBe(1);
    await Promise.resolve();
    expect(disposed).toBe(false);
    process.die();
    await disposing;
    expect(log).toEqual(['spawn a', 'slot released', 'released']);
  });

  it('is released by `await using`', async () => {
    const { lease, log } = rig();
    {
      await using held = lease;
      expect(held.sessionId).toBe('session');
    }
    expect(log).toEqual(['slot released', 'released']);
  });
});
