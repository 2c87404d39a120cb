import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../../kit/fake-clock.ts';
import type { Slot } from '../../../src/policy/pool.ts';
import { Lease } from '../../../src/supervisor/lease.ts';

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
  const lease = new Lease<string, FakeLeased>({
    slot: { release: () => log.push('slot released') },
    sessionId: 'session',
    clock,
    unusedMs: UNUSED_MS,
    spawn: (request, slot) => {
      log.push(`spawn ${request}`);
      return start(slot);
    },
    expired: () => log.push('expired'),
    released: () => log.push('released'),
  });
  return { clock, lease, log };
}

describe('Lease', () => {
  it('starts one process after another on its slot', () => {
    const { lease, log } = rig();
    for (const request of ['a', 'b']) lease.spawn(request).die();
    expect(log).toEqual(['spawn a', 'spawn b']);
  });

  it('starts no second one while one lives', () => {
    const { lease, log } = rig();
    lease.spawn('a');
    expect(() => lease.spawn('b')).toThrow(
      expect.objectContaining({
        code: 'INVALID_OPTIONS',
        message: expect.stringMatching(/holds a live process.*exited/),
      }),
    );
    expect(log).toEqual(['spawn a']);
  });

  it('starts nothing once it is released', () => {
    const { lease, log } = rig();
    lease.release();
    expect(() => lease.spawn('a')).toThrow(
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
    const { lease, log } = rig();
    const process = lease.spawn('a');
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
    const { lease, log } = rig((slot) => (starts.shift() ?? starts[0])?.(slot) ?? fakeProcess());
    lease.spawn('fails at once');
    lease.spawn('fails later').die();
    lease.spawn('runs');
    expect(log).toEqual(['spawn fails at once', 'spawn fails later', 'spawn runs']);
  });

  it('keeps its slot when a spawn throws', () => {
    const { lease, log } = rig(() => {
      throw new Error('bad request');
    });
    expect(() => lease.spawn('bad')).toThrow('bad request');
    lease.release();
    expect(log).toEqual(['spawn bad', 'slot released', 'released']);
  });

  it('is busy as soon as a start begins: the host may come back in the middle of it', () => {
    const { lease, log } = rig((slot) => {
      // As `onSpawn` can.
      expect(() => lease.spawn('again')).toThrow(/holds a live process/);
      lease.release();
      return fakeProcess().holds(slot);
    });
    const process = lease.spawn('a');
    expect(log).toEqual(['spawn a']);
    process.die();
    expect(log).toEqual(['spawn a', 'slot released', 'released']);
  });

  describe('left unused', () => {
    it('is released with a warning after its time, counted from the last use', async () => {
      const { lease, log, clock } = rig();
      await clock.advance(UNUSED_MS - 1);
      const process = lease.spawn('a');
      await clock.advance(10 * UNUSED_MS);
      process.die();
      await clock.advance(UNUSED_MS - 1);
      expect(log).toEqual(['spawn a']);
      await clock.advance(1);
      expect(log).toEqual(['spawn a', 'slot released', 'released', 'expired']);
      expect(() => lease.spawn('b')).toThrow(/has been released/);
    });

    it('does not keep a host alive', () => {
      const { clock } = rig();
      expect(clock.timers).toEqual([{ inMs: UNUSED_MS, keepAlive: false }]);
    });

    it('goes on counting after a failed start', async () => {
      const { lease, log, clock } = rig((slot) => {
        slot.release();
        return fakeProcess();
      });
      lease.spawn('fails');
      expect(clock.timers).toHaveLength(1);
      await clock.advance(UNUSED_MS);
      expect(log).toContain('expired');
    });
  });

  it('ends its process when it is disposed, and waits for that end', async () => {
    const { lease, log } = rig();
    const process = lease.spawn('a');
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
