// Runs on the operating system in memory; what they remember is in a real folder.
import { existsSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeSupervision } from '../../../kit/fake-supervisor.ts';
import { catchUncaught } from '../../../kit/uncaught.ts';
import { SupervisorError } from '../../../src/errors.ts';
import type { SupervisedProcess } from '../../../src/process/handle.ts';
import type { SpawnRequest } from '../../../src/process/request.ts';
import type { SupervisorOptions } from '../../../src/supervisor/options.ts';
import type { RunOptions } from '../../../src/supervisor/runs.ts';
import { Supervisor } from '../../../src/supervisor/supervisor.ts';

const DAY_MS = 24 * 3_600_000;

let fake: FakeSupervision;
let started: SupervisedProcess[];

function setUp(options: SupervisorOptions = {}): void {
  fake?.[Symbol.dispose]();
  fake = new FakeSupervision({ guardian: false, ...options });
  started = [];
}
beforeEach(() => setUp());
afterEach(() => fake[Symbol.dispose]());

const run = (
  options: RunOptions = {},
  request: Partial<SpawnRequest> = {},
  supervisor: Supervisor = fake.supervisor,
) =>
  supervisor.run({ jitter: 0, ...options }, () => {
    const process = supervisor.spawn({ command: `a${started.length + 1}`, ...request });
    started.push(process);
    return process;
  });

const current = (): SupervisedProcess => {
  const process = started.at(-1);
  if (process === undefined) throw new Error('nothing was started');
  return process;
};

/** Ends what was started last, and lets follow what follows without any backoff. */
async function end(code: number | null, signal: NodeJS.Signals | null = null): Promise<void> {
  const process = current();
  fake.os.die(process.pid ?? 0, code, signal);
  await fake.until(process.exited);
  await fake.os.clock.settle();
}

/** Whether a run is over, without waiting. */
async function isDone(of: { done: Promise<unknown> }): Promise<boolean> {
  let done = false;
  void of.done.then(() => {
    done = true;
  });
  await fake.os.clock.settle();
  return done;
}

const pending = () => fake.os.clock.timers.filter(({ keepAlive }) => keepAlive);

describe('a run', () => {
  it('is over when its process completes', async () => {
    const series = run();
    expect(fake.os.launches).toHaveLength(1);
    await end(0);
    expect(await series.done).toEqual({
      outcome: 'completed',
      reports: [await current().exited],
      restarts: 0,
    });
    expect(series.signal.aborted).toBe(false);
    expect(pending()).toEqual([]);
  });

  it('starts again what crashes, each time later, and tells so', async () => {
    const series = run({ name: 'indexer', sessionId: 's' });
    const delays = [1000, 2000, 4000];
    for (const [n, delayMs] of delays.entries()) {
      await end(n + 1);
      expect(fake.eventsOf('restarting').at(-1)).toEqual({
        name: 'indexer',
        sessionId: 's',
        attempt: n + 2,
        delayMs,
        after: await current().exited,
      });
      // It keeps its host alive, as a queued start does.
      expect(pending()).toEqual([{ inMs: delayMs, keepAlive: true }]);
      await fake.os.clock.advance(delayMs - 1);
      expect(started).toHaveLength(n + 1);
      await fake.os.clock.advance(1);
      expect(started).toHaveLength(n + 2);
    }
    await end(0);
    expect(await series.done).toMatchObject({ outcome: 'completed', restarts: 3 });
    expect((await series.done).reports.map(({ code }) => code)).toEqual([1, 2, 3, 0]);
  });

  it('tells each attempt its number, the run’s signal and how the last one ended', async () => {
    const seen: unknown[] = [];
    const series = fake.supervisor.run({ jitter: 0 }, ({ attempt, signal, last }) => {
      seen.push([attempt, signal.aborted, last?.code]);
      started.push(fake.spawn('a', { signal }));
      return current();
    });
    await end(7);
    await fake.os.clock.advance(1000);
    await end(0);
    await series.done;
    expect(seen).toEqual([
      [1, false, undefined],
      [2, false, 7],
    ]);
  });

  it('is over when its budget is', async () => {
    const series = run({ maxRestarts: 2 });
    for (const code of [1, 2]) {
      await end(code);
      await fake.os.clock.advance(60_000);
    }
    expect(await isDone(series)).toBe(false);
    await end(3);
    expect(await series.done).toMatchObject({ outcome: 'exhausted', restarts: 2 });
    expect(started).toHaveLength(3);
    expect(series.signal.aborted).toBe(false);
  });

  it('has a new budget when the window has passed', async () => {
    const series = run({ maxRestarts: 1, windowMs: 5000, backoffMs: 10, sameCrashLimit: 100 });
    for (let n = 0; n < 4; n++) {
      await end(1);
      await fake.os.clock.advance(5000);
    }
    expect(started).toHaveLength(5);
    await fake.until(series.stop());
  });

  it('is over early when it always crashes alike', async () => {
    const series = run({}, {});
    for (const pid of [11, 22, 33]) {
      fake.os.child(current().pid ?? 0).stderr.write(`worker ${pid}: out of cheese\n`);
      await fake.os.clock.settle();
      await end(1);
      await fake.os.clock.advance(60_000);
    }
    expect(await series.done).toMatchObject({ outcome: 'same-crash', restarts: 2 });
  });

  it('ends when its first start is refused', async () => {
    setUp({ maxDepth: 0 });
    const report = await fake.until(run().done);
    expect(report).toMatchObject({ outcome: 'refused', restarts: 0 });
    expect(report.reports.at(-1)?.error?.code).toBe('DEPTH_EXCEEDED');
  });

  it('waits out a spawn rate within its budget', async () => {
    setUp({ spawnRate: { max: 1, windowMs: 600_000 } });
    const series = run();
    await end(1);
    const report = await fake.until(series.done, 300_000);
    expect(report).toMatchObject({ outcome: 'exhausted', restarts: 5 });
    expect(report.reports.slice(1).map(({ error }) => error?.code)).toEqual(
      Array(5).fill('SPAWN_RATE'),
    );
  });

  it('remembers the last hundred ends', async () => {
    const series = run({ maxRestarts: 1000, backoffMs: 1 });
    for (let n = 1; n <= 104; n++) {
      await end(1 + (n % 2));
      await fake.os.clock.advance(60_000);
    }
    await end(0);
    const { reports, restarts } = await series.done;
    expect([reports.length, reports.at(-1)?.code, restarts]).toEqual([100, 0, 104]);
  });
});

describe('an end on purpose', () => {
  it('from outside aborts its own run and nobody else’s', async () => {
    const [series, other] = [run({ name: 'a' }), run({ name: 'b' })];
    const tool = fake.spawn('t', { kind: 'tool', signal: series.signal });
    const process = started[0] as SupervisedProcess;
    fake.os.die(process.pid ?? 0, null, 'SIGTERM');
    expect(await fake.until(series.done)).toMatchObject({ outcome: 'intentional', restarts: 0 });
    expect(series.signal.aborted).toBe(true);
    expect(series.signal.reason).toMatchObject({
      code: 'ABORTED',
      message: `Process ${process.pid} was ended from outside by SIGTERM; its run ends with it.`,
    });
    expect(await fake.until(tool.exited)).toMatchObject({ cause: 'aborted' });
    expect(other.signal.aborted).toBe(false);
    expect(started).toHaveLength(2);
    expect(fake.os.alive).toEqual([started[1]?.pid]);
    await fake.until(other.stop());
  });

  it.each<[what: string, end: (process: SupervisedProcess) => unknown]>([
    ['by kill', (process) => process.kill('SIGTERM')],
    ['by terminate', (process) => process.terminate()],
  ])('%s restarts nothing, and ends nothing else', async (_what, act) => {
    const series = run();
    act(current());
    expect(await fake.until(series.done)).toMatchObject({ outcome: 'intentional', restarts: 0 });
    expect(series.signal.aborted).toBe(false);
    expect(pending()).toEqual([]);
  });

  it('from outside, after a signal of this host that asked for no end', async () => {
    fake.os.reactions = { SIGUSR1: 'ignore' };
    const series = run();
    current().kill('SIGUSR1');
    await end(null, 'SIGTERM');
    expect(await series.done).toMatchObject({ outcome: 'intentional' });
    expect(series.signal.aborted).toBe(true);
  });

  it('in the very attempt is known, too', async () => {
    const series = fake.supervisor.run({}, () => {
      const process = fake.spawn('a');
      void process.terminate();
      return process;
    });
    expect(await fake.until(series.done)).toMatchObject({ outcome: 'intentional' });
    expect(series.signal.aborted).toBe(false);
  });

  it('that was taken back in the queue', async () => {
    setUp({ pool: { concurrency: 1 } });
    fake.spawn('holder');
    const series = run();
    current().kill('SIGTERM');
    expect(await series.done).toMatchObject({ outcome: 'intentional', restarts: 0 });
  });
});

describe('a run that is ended', () => {
  type Way = [what: string, act: (series: ReturnType<typeof run>, own: AbortController) => unknown];
  const WAYS: Way[] = [
    ['by its stop', (series) => series.stop()],
    ['by its signal', (_series, own) => own.abort('enough')],
    ['with its session', () => fake.supervisor.reapSession('s')],
    ['with its supervisor', () => fake.supervisor.stop()],
  ];

  it.each(WAYS)('%s, in its backoff', async (_what, act) => {
    const own = new AbortController();
    const other = run({ sessionId: 'o', signal: new AbortController().signal });
    const series = run({ sessionId: 's', signal: own.signal });
    await end(1);
    expect(pending()).toHaveLength(1);
    act(series, own);
    expect(await fake.until(series.done)).toMatchObject({ outcome: 'aborted', restarts: 0 });
    expect(series.signal.aborted).toBe(true);
    expect(pending()).not.toContainEqual({ inMs: 1000, keepAlive: true });
    await fake.os.clock.advance(120_000);
    expect(started).toHaveLength(2);
    expect(other.signal.aborted).toBe(_what === 'with its supervisor');
    await fake.until(other.stop());
  });

  it.each([
    ...WAYS.map(([what, act]) => [what, act, 's'] as const),
    // The process itself belongs to no session.
    ['with its session, of which only the run is', WAYS[2]?.[1], undefined] as const,
  ])('%s, while its process runs', async (_what, act, sessionId) => {
    const own = new AbortController();
    const series = run({ sessionId: 's', signal: own.signal }, { sessionId });
    void act?.(series, own);
    const report = await fake.until(series.done);
    expect(report).toMatchObject({ outcome: 'aborted', restarts: 0 });
    expect(report.reports).toMatchObject([{ intentional: true }]);
    expect(series.signal.aborted).toBe(true);
    expect(fake.os.alive).toEqual([]);
    expect(started).toHaveLength(1);
  });

  it.each([
    ['its stop', (series: ReturnType<typeof run>) => series.stop(), 'aborted'],
    ['the reaping of its session', () => fake.supervisor.reapSession('s'), 'reaped'],
    ['the stop of its supervisor', () => fake.supervisor.stop(), 'shutdown'],
  ])('by %s: its process says so', async (_what, act, cause) => {
    const series = fake.supervisor.run({ sessionId: 's' }, ({ signal }) =>
      fake.spawn('a', { sessionId: 's', signal }),
    );
    act(series);
    expect((await fake.until(series.done)).reports).toMatchObject([{ cause }]);
  });

  it('with its process’s session, without being told one', async () => {
    const series = run({}, { sessionId: 's' });
    await end(1);
    await fake.supervisor.reapSession('s');
    expect(await series.done).toMatchObject({ outcome: 'aborted' });
  });

  it('by a stop that lets it finish: what completes then has completed', async () => {
    const series = run();
    const stopped = fake.supervisor.stop({ finishMs: 60_000 });
    await fake.os.clock.settle();
    expect(series.signal.aborted).toBe(false);
    await end(0);
    expect(await series.done).toMatchObject({ outcome: 'completed' });
    await fake.until(stopped);
  });

  it('by a stop that lets it finish: what crashes then is not started again', async () => {
    const series = run();
    const stopped = fake.supervisor.stop({ finishMs: 60_000 });
    await fake.os.clock.settle();
    await end(1);
    expect(await series.done).toMatchObject({ outcome: 'aborted', restarts: 0 });
    await fake.until(stopped);
  });

  it('by a stop that lets it finish, in its backoff: nothing is left to finish', async () => {
    const series = run();
    await end(1);
    const stopped = fake.supervisor.stop({ finishMs: 60_000 });
    expect(await isDone(series)).toBe(true);
    expect(await series.done).toMatchObject({ outcome: 'aborted', restarts: 0 });
    expect(series.signal.aborted).toBe(true);
    expect(pending()).toEqual([]);
    await fake.until(stopped);
  });

  it('by a stop that lets it finish, before its attempt has a process: its signal tells why', async () => {
    const series = fake.supervisor.run(
      {},
      ({ signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason));
        }),
    );
    const stopped = fake.supervisor.stop({ finishMs: 60_000 });
    expect(await isDone(series)).toBe(true);
    expect(series.signal.reason).toMatchObject({ code: 'STOPPING' });
    await fake.until(stopped);
  });

  it('before it begins', async () => {
    const series = run({ signal: AbortSignal.abort() });
    expect(await series.done).toEqual({ outcome: 'aborted', reports: [], restarts: 0 });
    expect(started).toEqual([]);
  });

  it('by a listener that hears of its restart', async () => {
    const series = run();
    fake.supervisor.on('restarting', () => void series.stop());
    await end(1);
    expect(await series.done).toMatchObject({ outcome: 'aborted', restarts: 0 });
    expect(pending()).toEqual([]);
  });

  it('while it waits in the queue', async () => {
    setUp({ pool: { concurrency: 1 } });
    fake.spawn('holder');
    const series = run();
    expect(await series.stop()).toMatchObject({ outcome: 'aborted' });
    expect(fake.os.launches).toHaveLength(1);
  });

  it('while its attempt waits for a slot', async () => {
    setUp({ pool: { concurrency: 1 } });
    fake.spawn('holder');
    const series = fake.supervisor.run({}, async ({ signal }) =>
      (await fake.supervisor.acquire({ signal })).spawn({ command: 'a' }),
    );
    await fake.os.clock.settle();
    expect(await series.stop()).toMatchObject({ outcome: 'aborted', reports: [] });
  });

  it('while its attempt takes its time: what it brings then is ended', async () => {
    const { promise, resolve } = Promise.withResolvers<SupervisedProcess>();
    const series = fake.supervisor.run({}, () => promise);
    void series.stop();
    await fake.os.clock.settle();
    resolve(fake.spawn('late'));
    expect(await fake.until(series.done)).toMatchObject({ outcome: 'aborted' });
    expect(fake.os.alive).toEqual([]);
  });

  it('twice, and after its end', async () => {
    const series = run();
    expect(series.stop()).toBe(series.stop());
    await fake.until(series.done);
    expect(series.stop()).toBe(series.done);
  });

  it('leaves no listener on its signal', async () => {
    const own = new AbortController();
    const listeners = new Set<unknown>();
    const { signal } = own;
    const [add, remove] = [signal.addEventListener, signal.removeEventListener];
    signal.addEventListener = (...of: Parameters<typeof add>) => {
      listeners.add(of[1]);
      add.apply(signal, of);
    };
    signal.removeEventListener = (...of: Parameters<typeof remove>) => {
      listeners.delete(of[1]);
      remove.apply(signal, of);
    };
    const series = run({ signal });
    expect(listeners.size).toBe(1);
    await end(0);
    await series.done;
    expect(listeners.size).toBe(0);
  });
});

describe('an attempt', () => {
  it.each([
    [
      'throws',
      () => {
        throw new Error('mine');
      },
    ],
    ['rejects', () => Promise.reject(new Error('mine'))],
  ])('that %s rejects the run with just that', async (_how, attempt) => {
    const series = fake.supervisor.run({}, attempt);
    await expect(series.done).rejects.toThrow('mine');
    expect(pending()).toEqual([]);
  });

  it('that throws and is not heard is the host’s own unhandled rejection', async () => {
    const uncaught = catchUncaught();
    fake.supervisor.run({}, () => {
      throw new Error('mine');
    });
    await fake.os.clock.settle();
    uncaught.restore();
    expect(uncaught.rejections).toMatchObject([{ message: 'mine' }]);
  });

  it.each([undefined, null, 5, {}, Promise.resolve(undefined)])(
    'that brings %s is told so',
    async (brought) => {
      const series = fake.supervisor.run({}, () => brought as never);
      await expect(series.done).rejects.toMatchObject({
        code: 'INVALID_OPTIONS',
        message: expect.stringMatching(/^run: the attempt returned no process\. Return what/),
      });
    },
  );

  it('that throws on the second time ends the run after the first', async () => {
    const series = fake.supervisor.run({ jitter: 0 }, ({ attempt }) => {
      if (attempt === 2) throw new SupervisorError('POOL_TIMEOUT', 'no slot');
      started.push(fake.spawn('a'));
      return current();
    });
    const done = series.done.catch((error: unknown) => error);
    await end(1);
    await fake.os.clock.advance(1000);
    expect(await done).toMatchObject({ code: 'POOL_TIMEOUT' });
  });
});

describe('the budget of a run with a name', () => {
  const files = () => readdirSync(fake.stateDir).filter((name) => name.startsWith('restarts-'));
  const text = () => readFileSync(join(fake.stateDir, files()[0] ?? ''), 'utf8');
  const successor = () => new Supervisor({ stateDir: fake.stateDir, guardian: false }, fake.os);
  /** Crashes until the run is over; tells how often it was restarted. */
  async function exhaust(options: RunOptions, supervisor = fake.supervisor): Promise<number> {
    const series = run({ sameCrashLimit: 100, ...options }, {}, supervisor);
    while (!(await isDone(series))) {
      await end(1);
      await fake.os.clock.advance(1000);
    }
    expect(await series.done).toMatchObject({ outcome: 'exhausted' });
    return (await series.done).restarts;
  }
  const SHORT = { maxRestarts: 3, backoffMs: 10, maxBackoffMs: 10 };

  it('is in a file of its own, which the next host reads', async () => {
    const first = run({ ...SHORT, name: 'indexer' });
    for (const code of [1, 2]) {
      await end(code);
      await fake.os.clock.advance(10);
    }
    expect(files()).toEqual([expect.stringMatching(/^restarts-[\da-f]{32}\.jsonl$/)]);
    expect(text()).toMatch(/^(\{"at":\d{13}\}\n){2}$/);
    // Its host is gone; the next one begins with what is left.
    expect(await exhaust({ ...SHORT, name: 'indexer' }, successor())).toBe(1);
    await fake.until(first.stop());
  });

  it('is its session’s without a name, and nobody’s without both', async () => {
    expect(await exhaust({ ...SHORT, sessionId: 7 })).toBe(3);
    expect(await exhaust({ ...SHORT, sessionId: '7' })).toBe(0);
    expect(await exhaust({ ...SHORT, sessionId: 8 })).toBe(3);
    expect(await exhaust({ ...SHORT, name: '7' })).toBe(3);
    expect(files()).toHaveLength(3);
    expect([await exhaust(SHORT), await exhaust(SHORT)]).toEqual([3, 3]);
    expect(files()).toHaveLength(3);
  });

  it('is one for two runs of a name at a time', async () => {
    const all = [run({ ...SHORT, name: 'n' }), run({ ...SHORT, name: 'n' })];
    for (let n = 0; n < 20; n++) {
      for (const process of started)
        if (process.exitCode === null) fake.os.die(process.pid ?? 0, n + 1);
      await fake.os.clock.advance(1000);
    }
    const reports = await Promise.all(all.map(({ done }) => done));
    expect(reports.map(({ outcome }) => outcome)).toEqual(['exhausted', 'exhausted']);
    expect(reports.reduce((sum, { restarts }) => sum + restarts, 0)).toBe(3);
  });

  it('counts a time in the future as the moment at which a run finds it', async () => {
    await exhaust({ ...SHORT, name: 'n' });
    fake.os.clock.setWall(fake.os.clock.now() - 365 * DAY_MS);
    const supervisor = successor();
    expect(await exhaust({ ...SHORT, name: 'n' }, supervisor)).toBe(0);
    const wish = { ...SHORT, name: 'n', maxRestarts: 4, windowMs: 5000 };
    const later = run(wish, {}, supervisor);
    await end(1);
    expect(await isDone(later)).toBe(false);
    // A window later it counts no more.
    await fake.os.clock.advance(5000);
    for (const code of [2, 3, 4, 5]) {
      await end(code);
      expect(await isDone(later)).toBe(false);
      await fake.os.clock.advance(10);
    }
    await end(6);
    expect(await later.done).toMatchObject({ outcome: 'exhausted', restarts: 5 });
  });

  it('costs a warning where it cannot be read, and goes on', async () => {
    await exhaust({ ...SHORT, name: 'n' });
    writeFileSync(join(fake.stateDir, files()[0] ?? ''), 'noise\n{"at":"x"}\n{"at":null}\n');
    expect(await exhaust({ ...SHORT, name: 'n' })).toBe(3);
    const { code, message } = fake.eventsOf('warning')[0] ?? {};
    expect({ code, message }).toEqual({
      code: 'RESTARTS',
      message: expect.stringContaining(':1: unreadable line skipped'),
    });
  });

  it('is swept when nothing was added for 30 days', async () => {
    await exhaust({ ...SHORT, name: 'old' });
    await exhaust({ ...SHORT, name: 'new' });
    // Ages count on a clock that was seen to pass for a day.
    await fake.until(fake.supervisor.sweep());
    fake.os.clock.advanceInOneTick(DAY_MS);
    await fake.until(fake.supervisor.sweep());
    const [old = '', recent = ''] = files().map((name) => join(fake.stateDir, name));
    const stamp = (path: string, ageMs: number) => {
      const seconds = (fake.os.clock.now() - ageMs) / 1000;
      utimesSync(path, seconds, seconds);
    };
    stamp(old, 30 * DAY_MS + 60_000);
    stamp(recent, 30 * DAY_MS - 60_000);
    expect(await fake.until(fake.supervisor.sweep({ dryRun: true }))).toMatchObject({
      removed: [old],
    });
    expect(existsSync(old)).toBe(true);
    expect(await fake.until(fake.supervisor.sweep())).toMatchObject({ removed: [old] });
    expect(files().map((name) => join(fake.stateDir, name))).toEqual([recent]);
  });
});
