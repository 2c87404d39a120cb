import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { UNKILLABLE } from '../../../kit/fake-os.ts';
import { FakeSupervision } from '../../../kit/fake-supervisor.ts';
import { standing } from '../../../kit/state-dir.ts';
import { catchUncaught } from '../../../kit/uncaught.ts';
import type { EndReport } from '../../../src/reports.ts';
import type { SupervisorOptions } from '../../../src/supervisor/options.ts';

const STUBBORN = { SIGTERM: 'ignore' } as const;

let fake: FakeSupervision;
const open: FakeSupervision[] = [];

function setUp(options: SupervisorOptions = {}): void {
  fake = new FakeSupervision({ pool: { concurrency: 3 }, ...options });
  open.push(fake);
}

beforeEach(() => setUp());
afterEach(() => {
  for (const one of open.splice(0)) one[Symbol.dispose]();
});

const code = (expected: string) => expect.objectContaining({ code: expected });

describe('stop', () => {
  it('ends all in reverse start order, step by step', async () => {
    fake.os.reactions = STUBBORN;
    for (const name of ['a', 'b', 'c']) fake.spawn(name);
    const report = await fake.until(fake.supervisor.stop());
    expect(fake.os.timeline).toEqual([
      ...['0 launch a', '0 launch b', '0 launch c'],
      ...['0 EOF 102', '0 EOF 101', '0 EOF 100'],
      ...['2000 SIGTERM -102', '2000 SIGTERM -101', '2000 SIGTERM -100'],
      ...['7000 SIGKILL -102', '7000 SIGKILL -101', '7000 SIGKILL -100'],
    ]);
    expect(report).toMatchObject({ survivors: [], unproven: [] });
    expect(report.ended).toHaveLength(3);
    for (const one of report.ended) {
      expect(one).toMatchObject({
        cause: 'shutdown',
        intentional: true,
        forced: true,
        signal: 'SIGKILL',
      });
    }
    expect(fake.os.alive).toEqual([]);
    expect(fake.supervisor.list()).toEqual([]);
  });

  it('takes all down under one shared deadline', async () => {
    fake.os.reactions = UNKILLABLE;
    for (const name of ['a', 'b', 'c']) fake.spawn(name);
    const report = await fake.until(fake.supervisor.stop({ deadlineMs: 1500 }));
    expect(fake.os.clock.monotonicMs()).toBe(1500);
    expect(report).toMatchObject({ ended: [], durationMs: 1500 });
    expect(report.survivors.map(({ pid, command }) => [pid, command]).sort()).toEqual([
      [100, 'a'],
      [101, 'b'],
      [102, 'c'],
    ]);
  });

  it('passes by what is meant to outlive its host, and tells how long the rest has taken', async () => {
    await fake.os.clock.advance(1000);
    fake.spawn('daemon', { kind: 'daemon', outlivesHost: true });
    fake.os.reactions = STUBBORN;
    fake.spawn('a');
    const { ended, survivors, durationMs } = await fake.until(fake.supervisor.stop());
    expect(ended).toMatchObject([{ pid: 101 }]);
    expect(survivors).toEqual([]);
    expect(durationMs).toBe(fake.os.clock.monotonicMs() - 1000);
    expect(fake.os.alive).toEqual([100]);
  });

  it('does nothing, and says so, where nothing runs', async () => {
    const report = await fake.until(fake.supervisor.stop());
    expect(report).toEqual({ ended: [], survivors: [], unproven: [], durationMs: 0 });
    expect(fake.eventNames).toEqual(['stopping', 'stopped']);
    expect(fake.os.clock.timers).toEqual([]);
  });

  it('removes the registry’s file when nothing is left, and keeps it for a survivor until that is dead', async () => {
    fake.os.reactions = UNKILLABLE;
    fake.spawn('a');
    expect(standing(fake.stateDir)).toHaveLength(1);
    await fake.until(fake.supervisor.stop());
    expect(standing(fake.stateDir)).toHaveLength(1);
    fake.os.die(100);
    await fake.os.clock.advance(31_000);
    expect(standing(fake.stateDir)).toEqual([]);
  });

  it('is what `await using` does', async () => {
    fake.spawn('a');
    await fake.until(fake.supervisor[Symbol.asyncDispose]());
    expect(fake.os.alive).toEqual([]);
  });

  it('ends the process whose very start makes a listener stop the supervisor', async () => {
    await fake.supervisor.start();
    const day = new Date(fake.os.clock.now()).toISOString().slice(0, 10);
    mkdirSync(join(fake.stateDir, `history-${day}.jsonl`));
    const stopped = Promise.withResolvers<EndReport>();
    fake.supervisor.on('warning', () => stopped.resolve(fake.supervisor.stop()));
    const { id } = fake.spawn('a');
    const { ended } = await fake.until(stopped.promise);
    expect(ended).toMatchObject([{ id, cause: 'shutdown' }]);
    expect(fake.os.alive).toEqual([]);
  });

  it('starts nothing for which a listener stops the supervisor before its launch', async () => {
    setUp({ budget: { perDayUsd: 1 } });
    await fake.supervisor.start();
    const day = new Date(fake.os.clock.now()).toISOString().slice(0, 10);
    mkdirSync(join(fake.stateDir, `spend-${day}.jsonl`));
    const stopped = Promise.withResolvers<EndReport>();
    fake.supervisor.on('warning', () => stopped.resolve(fake.supervisor.stop()));
    const { exited } = fake.spawn('a');
    await fake.until(stopped.promise);
    expect(fake.os.launches).toEqual([]);
    expect(await exited).toMatchObject({ cause: 'not-started', error: { code: 'STOPPING' } });
  });

  it.each([
    ['finish', { finishMs: 60_000 }, {}],
    ['end', {}, { SIGTERM: 'ignore' }],
    ['survive', { deadlineMs: 0 }, UNKILLABLE],
  ] as const)(
    'hears from agents that %s which conversation they run, and goes on',
    async (_, wish, reactions) => {
      const uncaught = catchUncaught();
      try {
        fake.os.reactions = reactions;
        const process = fake.supervisor.spawnHook()({ command: 'a', args: [] });
        const { stdout } = fake.os.child(process.pid ?? 0);
        const stopped = fake.supervisor.stop(wish);
        if ('deadlineMs' in wish) await fake.until(stopped);
        stdout.write('{"type":"system","subtype":"init","session_id":"c"}\n');
        await fake.os.clock.advance(1000);
        expect(String(process.stdout.read())).toContain('init');
        fake.os.die(process.pid ?? 0);
        await fake.until(stopped);
        await fake.until(process.exited);
        expect(uncaught).toMatchObject({ exceptions: [], rejections: [] });
        expect(standing(fake.stateDir)).toEqual([]);
      } finally {
        uncaught.restore();
      }
    },
  );

  it('sends no sweep into what has been closed', async () => {
    setUp({ sweep: { intervalMs: 1000 } });
    const { pid = 0 } = fake.spawn('a');
    const stopped = fake.supervisor.stop({ finishMs: 60_000 });
    await fake.os.clock.advance(5000);
    fake.os.die(pid);
    await fake.until(stopped);
    expect(fake.eventsOf('warning')).toEqual([]);
  });

  it('survives a listener that stops the supervisor itself', async () => {
    for (const event of ['stopping', 'refused', 'ending', 'exited', 'stopped'] as const) {
      setUp({ pool: { concurrency: 1 } });
      const again: Promise<unknown>[] = [];
      fake.supervisor.on(event, () => again.push(fake.supervisor.stop()));
      fake.spawn('a');
      fake.spawn('queued');
      await fake.until(fake.supervisor.stop());
      expect(again).not.toEqual([]);
      await fake.until(Promise.all(again));
      expect(fake.os.alive).toEqual([]);
      if (event !== 'stopped') expect(fake.eventsOf('stopping')).toHaveLength(1);
      if (event === 'stopped') break;
    }
  });

  describe('finishMs', () => {
    it('lets what runs finish, and ends nothing that does', async () => {
      fake.spawn('a');
      fake.spawn('b');
      const stopped = fake.supervisor.stop({ finishMs: 10_000 });
      fake.os.clock.after(3000, () => fake.os.die(100));
      fake.os.clock.after(4000, () => fake.os.die(101, 1));
      const report = await fake.until(stopped);
      expect(fake.os.log.filter((line) => !line.startsWith('launch'))).toEqual([]);
      expect(report.ended.map(({ cause, code }) => [cause, code])).toEqual([
        ['completed', 0],
        ['failed', 1],
      ]);
      expect(fake.os.clock.monotonicMs()).toBeLessThan(4500);
      expect(fake.os.clock.timers).toEqual([]);
    });

    it('then goes down the ladder with the rest', async () => {
      fake.spawn('a');
      fake.spawn('b');
      const stopped = fake.supervisor.stop({ finishMs: 10_000 });
      fake.os.clock.after(3000, () => fake.os.die(101));
      const report = await fake.until(stopped);
      expect(fake.os.timeline.slice(2)).toEqual(['10000 EOF 100', '12000 SIGTERM -100']);
      expect(report.ended.map(({ cause }) => cause)).toEqual(['completed', 'shutdown']);
    });

    it('refuses the new and the queued from the start', async () => {
      setUp({ pool: { concurrency: 1 } });
      const running = fake.spawn('a');
      const queued = fake.spawn('b');
      const errors: unknown[] = [];
      queued.on('error', (error) => errors.push(error));
      const waiting = fake.supervisor.acquire();
      const refusal = expect(waiting).rejects.toThrow(code('STOPPING'));
      const stopped = fake.supervisor.stop({ finishMs: 10_000 });

      expect(() => fake.spawn('c')).toThrow(code('STOPPING'));
      expect(() => fake.supervisor.spawnHook()({ command: 'c', args: [] })).toThrow(
        code('STOPPING'),
      );
      await expect(fake.supervisor.acquire()).rejects.toThrow(code('STOPPING'));
      await expect(fake.supervisor.start()).rejects.toThrow(code('STOPPING'));
      await refusal;
      await expect(queued.started).rejects.toThrow(code('STOPPING'));
      expect(await queued.exited).toMatchObject({
        pid: undefined,
        cause: 'not-started',
        error: { code: 'STOPPING' },
      });
      await fake.os.clock.settle();
      expect(errors).toEqual([code('STOPPING')]);
      expect(running.exitCode).toBeNull();
      fake.os.die(100);
      await fake.until(stopped);
      expect(fake.os.launches).toHaveLength(1);
    });

    it('refuses a lease’s next process, and takes its slot back when the one it has is dead', async () => {
      const lease = await fake.supervisor.acquire();
      lease.spawn({ command: 'a' });
      const unused = await fake.supervisor.acquire();
      const stopped = fake.supervisor.stop({ finishMs: 10_000 });
      expect(() => unused.spawn({ command: 'b' })).toThrow(/has been released/);
      fake.os.die(100);
      await fake.until(stopped);
      expect(() => lease.spawn({ command: 'b' })).toThrow(/has been released/);
      expect(fake.os.launches).toHaveLength(1);
    });
  });

  describe('called again', () => {
    it('is the same stop', async () => {
      fake.os.reactions = STUBBORN;
      fake.spawn('a');
      const stops = [fake.supervisor.stop(), fake.supervisor.stop()];
      await fake.os.clock.advance(3000);
      stops.push(fake.supervisor.stop({ finishMs: 60_000 }));
      const reports = await fake.until(Promise.all(stops));
      expect(new Set(reports).size).toBe(1);
      expect(fake.os.clock.monotonicMs()).toBeLessThan(7500);
      expect(fake.os.log.filter((line) => line.startsWith('SIGTERM'))).toHaveLength(1);
      expect(fake.eventNames.filter((name) => name === 'stopping')).toHaveLength(1);
    });

    it.each([
      ['while it lets finish', { finishMs: 60_000 }, 1000, 1500],
      ['in the ladder', {}, 3000, 3500],
    ])('with a deadline hurries the first, %s', async (_what, options, atMs, endMs) => {
      fake.os.reactions = UNKILLABLE;
      fake.spawn('a');
      const first = fake.supervisor.stop(options);
      await fake.os.clock.advance(atMs);
      void fake.supervisor.stop({ deadlineMs: 500 });
      const { survivors } = await fake.until(first);
      expect(survivors).toHaveLength(1);
      expect(fake.os.clock.monotonicMs()).toBe(endMs);
    });

    it('after its end stops what is left: nothing', async () => {
      fake.spawn('a');
      await fake.until(fake.supervisor.stop());
      expect(await fake.until(fake.supervisor.stop())).toMatchObject({ ended: [], survivors: [] });
    });

    it('after its end ends the survivors, if they can be ended by now', async () => {
      fake.os.reactions = UNKILLABLE;
      const process = fake.spawn('a');
      expect((await fake.until(fake.supervisor.stop())).survivors).toHaveLength(1);
      fake.os.get(100).on = {};
      const again = await fake.until(fake.supervisor.stop({ deadlineMs: 2000 }), 2000);
      expect(again.survivors).toEqual([]);
      expect(await process.exited).toMatchObject({ cause: 'shutdown', forced: true });
    });
  });

  describe('and start again', () => {
    it('works as before', async () => {
      fake.spawn('a');
      await fake.until(fake.supervisor.stop());
      expect(() => fake.spawn('b')).toThrow(
        expect.objectContaining({ message: expect.stringContaining('start()') }),
      );
      const report = await fake.supervisor.start();
      expect(report).toMatchObject({ survivors: [], stateDir: fake.stateDir });
      const process = fake.spawn('b');
      expect(process.pid).toBe(101);
      expect(standing(fake.stateDir)).toHaveLength(1);
      await fake.until(fake.supervisor.stop());
      expect(await process.exited).toMatchObject({ cause: 'shutdown' });
    });

    it('leaves a survivor its slot until it is seen dead', async () => {
      setUp({ pool: { concurrency: 1 }, sweep: { intervalMs: 1000 } });
      fake.os.reactions = UNKILLABLE;
      const survivor = fake.spawn('a');
      await fake.until(fake.supervisor.stop());
      await fake.until(fake.supervisor.start());
      const next = fake.spawn('b');
      await fake.os.clock.advance(10_000);
      expect(next.pid).toBeUndefined();
      expect(fake.supervisor.list()).toMatchObject([{ id: survivor.id, holdsSlot: true }]);
      fake.os.die(100);
      await fake.os.clock.advance(1500);
      expect(next.pid).toBe(101);
      expect(await survivor.exited).toMatchObject({ cause: 'shutdown', forced: true });
    });
  });
});

describe('a survivor', () => {
  it('is reported, and keeps its slot until it is seen dead', async () => {
    setUp({ pool: { concurrency: 1 }, sweep: { intervalMs: 5000 } });
    fake.os.reactions = UNKILLABLE;
    const process = fake.spawn('a', { sessionId: 's' });
    const next = fake.spawn('b');
    const report = await fake.until(process.terminate({ deadlineMs: 1000 }));
    expect(report).toMatchObject({
      ended: [],
      survivors: [{ id: process.id, pid: 100, command: 'a', sessionId: 's' }],
      durationMs: 1000,
    });
    expect(fake.eventsOf('survivors')).toEqual([
      { id: process.id, kind: 'agent', sessionId: 's', survivors: report.survivors },
    ]);
    await fake.os.clock.advance(60_000);
    expect(next.pid).toBeUndefined();
    fake.os.die(100);
    await fake.os.clock.advance(5200);
    expect(next.pid).toBe(101);
  });

  it('that is only a descendant keeps it, too', async () => {
    setUp({ pool: { concurrency: 1 }, sweep: { intervalMs: 5000 } });
    const process = fake.spawn('a');
    const next = fake.spawn('b');
    const child = fake.os.fork(100, { pgid: 300, sid: 300, on: UNKILLABLE });
    const report = await fake.until(process.terminate({ force: true }));
    expect(report.survivors.map(({ pid }) => pid)).toEqual([child.pid]);
    expect(process.signalCode).toBe('SIGKILL');
    expect(fake.supervisor.list()).toMatchObject([{ id: process.id, state: 'exited' }]);
    await fake.os.clock.advance(20_000);
    expect(next.pid).toBeUndefined();
    fake.os.die(child.pid);
    await fake.os.clock.advance(5200);
    expect(next.pid).toBeDefined();
  });

  it('does not keep a host alive while it is watched', async () => {
    fake.os.reactions = { ...UNKILLABLE, SIGKILL: 'die' };
    const process = fake.spawn('a');
    fake.os.fork(100, { pgid: 300, sid: 300, on: UNKILLABLE });
    await fake.until(process.terminate({ force: true }));
    await fake.os.clock.advance(1000);
    const [, ...more] = fake.os.clock.timers;
    expect(more.length, 'beside the sweep').toBeGreaterThan(0);
    expect(fake.os.clock.timers.filter(({ keepAlive }) => keepAlive)).toEqual([]);
  });

  it('is ended at once by the next who asks and can, not at the next sweep', async () => {
    const process = fake.spawn('a');
    const child = fake.os.fork(100, { pgid: 300, sid: 300, on: UNKILLABLE });
    await fake.until(process.terminate({ force: true }));
    child.on = {};
    const report = await fake.until(process.terminate({ force: true }), 1000);
    expect(report).toMatchObject({ survivors: [], ended: [{ id: process.id }] });
  });

  it('that died by itself is reported as ended to the next who asks, at once', async () => {
    const process = fake.spawn('a');
    const child = fake.os.fork(100, { pgid: 300, sid: 300, on: UNKILLABLE });
    await fake.until(process.terminate({ force: true }));
    fake.os.die(child.pid);
    const report = await fake.until(process.terminate({ force: true }), 1000);
    expect(report).toMatchObject({ survivors: [], ended: [{ id: process.id }] });
  });
});

describe('a sweep', () => {
  const survive = async () => {
    const process = fake.spawn('a', { sessionId: 's' });
    const child = fake.os.fork(100, { pgid: 300, sid: 300, on: UNKILLABLE });
    await fake.until(process.terminate({ force: true }));
    const orphan = { id: process.id, pid: child.pid, reason: 'it survived its end' };
    return { child, process, orphan };
  };

  it('ends a survivor if it can be ended by now, and reports its end', async () => {
    const { child, process, orphan } = await survive();
    child.on = { SIGTERM: 'ignore' };
    const dry = await fake.until(fake.supervisor.sweep({ dryRun: true }));
    expect(dry).toMatchObject({ orphans: [orphan], ended: [], survivors: [] });
    expect(fake.os.alive).toEqual([child.pid]);

    const swept = await fake.until(fake.supervisor.sweep());
    const report = await process.exited;
    expect(report).toMatchObject({ cause: 'terminated', forced: true, sessionId: 's' });
    expect(swept).toMatchObject({ orphans: [orphan], survivors: [] });
    expect(swept.ended).toEqual([report]);
    expect(fake.os.alive).toEqual([]);
    expect(await fake.until(fake.supervisor.sweep())).toMatchObject({ orphans: [], ended: [] });
  });

  it('reports one that still cannot be ended, and one that has died since', async () => {
    const { child, process, orphan } = await survive();
    const { pid } = child;
    const swept = await fake.until(fake.supervisor.sweep());
    expect(swept).toMatchObject({ orphans: [orphan], ended: [], survivors: [{ pid }] });
    fake.os.die(pid);
    const next = await fake.until(fake.supervisor.sweep(), 1000);
    expect(next).toMatchObject({ orphans: [], ended: [{ id: process.id }], survivors: [] });
    expect(fake.supervisor.list()).toEqual([]);
  });
});

describe('a process that ends by itself', () => {
  it('leaves nothing, not even what was born while the look at its end passed by', async () => {
    const process = fake.spawn('a');
    const { cookie } = fake.os.get(100);
    let born: { pid: number } | undefined;
    fake.os.afterLook = () => {
      // Its parent is in no look: it forked after the pass, and was dead before it was read.
      born ??= fake.os.add({ ppid: 1, cookie });
    };
    fake.os.die(100);
    const report = await fake.until(process.exited);
    expect(report.leftovers).toEqual([{ pid: born?.pid, command: 'fake' }]);
    expect(fake.os.alive).toEqual([]);
  });
});

describe('reapSession', () => {
  it('ends the session’s processes in reverse start order, and no other', async () => {
    fake.os.reactions = STUBBORN;
    fake.spawn('a', { sessionId: 's' });
    fake.spawn('other', { sessionId: 't' });
    fake.spawn('b', { sessionId: 's' });
    fake.spawn('c', { sessionId: 's', slot: false });
    const report = await fake.until(fake.supervisor.reapSession('s', { reason: 'done' }));
    expect(report.ended.map(({ cause, sessionId }) => [cause, sessionId])).toEqual([
      ['reaped', 's'],
      ['reaped', 's'],
      ['reaped', 's'],
    ]);
    expect(fake.os.log.filter((line) => line.startsWith('SIGKILL'))).toEqual([
      'SIGKILL -103',
      'SIGKILL -102',
      'SIGKILL -100',
    ]);
    expect(fake.os.alive).toEqual([101]);
    expect(fake.eventsOf('ending').map(({ reason }) => reason)).toEqual(['done', 'done', 'done']);
  });

  it('refuses who waits for the session, and takes its unused leases back', async () => {
    setUp({ pool: { concurrency: 1 } });
    const lease = await fake.supervisor.acquire({ sessionId: 7 });
    const queued = fake.spawn('a', { sessionId: '7' });
    const waiting = fake.supervisor.acquire({ sessionId: '7' });
    const refusal = expect(waiting).rejects.toThrow(code('ABORTED'));
    const other = fake.spawn('b', { sessionId: '8' });
    await fake.until(fake.supervisor.reapSession(7));
    await refusal;
    await expect(queued.started).rejects.toThrow(code('ABORTED'));
    expect(() => lease.spawn({ command: 'c' })).toThrow(/released/);
    expect(other.pid).toBe(100);
    expect(fake.os.launches).toHaveLength(1);
  });

  it('ends what a listener hears of before its own start is told', async () => {
    fake.supervisor.on('warning', ({ code }) => {
      if (code === 'SESSION_SHARED') void fake.supervisor.reapSession('s');
    });
    const processes = ['a', 'b'].map((name) => fake.spawn(name, { sessionId: 's' }));
    for (const { exited } of processes)
      expect(await fake.until(exited)).toMatchObject({ cause: 'reaped' });
    expect(fake.os.alive).toEqual([]);
  });

  it('does nothing for a session that nobody knows', async () => {
    fake.spawn('a', { sessionId: 's' });
    fake.spawn('b');
    const report = await fake.until(fake.supervisor.reapSession('unknown'));
    expect(report).toMatchObject({ ended: [], survivors: [] });
    expect(fake.os.alive).toEqual([100, 101]);
  });
});

describe('a look that fails', () => {
  it('fails a start, and not the next one', async () => {
    fake.os.lookError = new Error('EMFILE');
    await expect(fake.supervisor.start()).rejects.toThrow('EMFILE');
    fake.os.lookError = undefined;
    expect(await fake.supervisor.start()).toMatchObject({ stateDir: fake.stateDir });
  });

  it('loses no process that has just been launched', async () => {
    await fake.supervisor.start();
    fake.os.readError = new Error('EMFILE');
    const { pid, exited } = fake.spawn('a');
    fake.os.readError = undefined;
    expect(pid).toBe(100);
    await fake.until(fake.supervisor.stop());
    expect(await exited).toMatchObject({ cause: 'shutdown' });
    expect(fake.os.alive).toEqual([]);
  });

  it('costs no slot, no report and no unhandled rejection', async () => {
    const unhandled = vi.fn();
    process.on('unhandledRejection', unhandled);
    try {
      setUp({ pool: { concurrency: 1 }, sweep: { intervalMs: 1000 } });
      const first = fake.spawn('a');
      const next = fake.spawn('b');
      fake.os.lookError = fake.os.readError = new Error('EMFILE');
      fake.os.die(100);
      await fake.os.clock.advance(500);
      fake.os.lookError = fake.os.readError = undefined;
      await fake.os.clock.advance(5000);
      expect(await fake.until(first.exited)).toMatchObject({ cause: 'completed' });
      expect(next.pid).toBe(101);
      expect(unhandled).not.toHaveBeenCalled();
    } finally {
      process.off('unhandledRejection', unhandled);
    }
  });
});
