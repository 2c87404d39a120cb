// The window in fake time, against a model that remembers every start.
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../../../kit/fake-clock.ts';
import { FakeSupervision } from '../../../kit/fake-supervisor.ts';
import { runs } from '../../../kit/property.ts';
import { isSupervisorError, type SupervisorError } from '../../../src/errors.ts';
import { COOKIE_VARIABLE } from '../../../src/os/os.ts';
import { SpawnRate } from '../../../src/policy/spawn-rate.ts';
import type { SupervisorOptions } from '../../../src/supervisor/options.ts';

function refusal(rate: SpawnRate, sessionId?: string): SupervisorError | undefined {
  try {
    rate.assertFree(sessionId);
    return undefined;
  } catch (error) {
    if (isSupervisorError(error, 'SPAWN_RATE')) return error;
    throw error;
  }
}

describe('the window', () => {
  const SESSIONS = [undefined, 'a', 'b', 'c'];
  const steps = fc.array(
    fc.record({ waitMs: fc.integer({ min: 0, max: 40 }), session: fc.constantFrom(...SESSIONS) }),
    { maxLength: 200 },
  );
  const limits = fc
    .record({
      max: fc.integer({ min: 1, max: 8 }),
      perSession: fc.option(fc.integer({ min: 1, max: 8 }), { nil: undefined }),
      windowMs: fc.integer({ min: 1, max: 100 }),
    })
    .map(({ max, perSession, windowMs }) => ({
      max,
      windowMs,
      maxPerSession: perSession && Math.min(max, perSession),
    }));

  it('allows exactly the starts that a complete record would, and remembers no more than the window', () => {
    fc.assert(
      fc.property(limits, steps, (options, requests) => {
        let nowMs = 0;
        const rate = new SpawnRate(options, { monotonicMs: () => nowMs });
        const { max, windowMs, maxPerSession = max } = options;
        const starts: { atMs: number; session: string | undefined }[] = [];
        for (const { waitMs, session } of requests) {
          nowMs += waitMs;
          const recent = starts.filter(({ atMs }) => nowMs - atMs < windowMs);
          const own = recent.filter((start) => session !== undefined && start.session === session);
          const mayStart = recent.length < max && own.length < maxPerSession;
          expect(refusal(rate, session) === undefined).toBe(mayStart);
          if (mayStart) {
            rate.count(session);
            starts.push({ atMs: nowMs, session });
          }
          const sessions = new Set(recent.map((start) => start.session).filter(Boolean));
          expect(rate.size.starts).toBeLessThanOrEqual(max);
          expect(rate.size.sessions).toBeLessThanOrEqual(sessions.size + 1);
        }
      }),
      runs(100),
    );
  });

  it('opens at the time its message says, and not before', () => {
    fc.assert(
      fc.property(limits, steps, (options, requests) => {
        let nowMs = 0;
        const rate = new SpawnRate(options, { monotonicMs: () => nowMs });
        for (const { waitMs, session } of requests) {
          nowMs += waitMs;
          const error = refusal(rate, session);
          if (error !== undefined) {
            const retryInMs = error.data['retryInMs'] as number;
            expect(error.message).toContain(`in ${retryInMs} ms`);
            nowMs += retryInMs - 1;
            expect(refusal(rate, session)).toBeDefined();
            nowMs += 1;
            expect(refusal(rate, session)).toBeUndefined();
          }
          rate.count(session);
        }
      }),
      runs(100),
    );
  });

  it('forgets ten thousand sessions whose window is empty', () => {
    let nowMs = 0;
    const rate = new SpawnRate({ max: 10_000, windowMs: 50 }, { monotonicMs: () => nowMs });
    for (let n = 0; n < 10_000; n++) rate.count(`session ${n}`);
    expect(rate.size).toEqual({ starts: 10_000, sessions: 10_000 });
    nowMs = 50;
    expect(refusal(rate)).toBeUndefined();
    expect(rate.size).toEqual({ starts: 0, sessions: 0 });
  });

  it('counts nothing when it is only asked', () => {
    const rate = new SpawnRate({ max: 1, windowMs: 10 }, new FakeClock({ timers: false }));
    for (let n = 0; n < 5; n++) expect(refusal(rate, 's')).toBeUndefined();
    expect(rate.size).toEqual({ starts: 0, sessions: 0 });
  });
});

describe('a supervisor with a spawn rate', () => {
  let fake: FakeSupervision;
  const setUp = (options: SupervisorOptions): void => {
    fake?.[Symbol.dispose]();
    fake = new FakeSupervision({ pool: { hardCap: 1000 }, guardian: false, ...options });
  };
  beforeEach(() => setUp({ spawnRate: { max: 2, windowMs: 1000 } }));
  afterEach(() => fake[Symbol.dispose]());
  const tool = (sessionId?: string) => fake.spawn('t', { kind: 'tool', sessionId });

  it('refuses on the handle, with figures and the way out', async () => {
    tool();
    await fake.os.clock.advance(400);
    tool();
    const refused = tool('s');
    const errors: Error[] = [];
    refused.on('error', (error) => errors.push(error));
    const message =
      'This host started 2 processes in the last 1000 ms, and spawnRate.max is 2. The next start is possible in 600 ms; wait, or raise spawnRate.max.';
    await expect(refused.started).rejects.toMatchObject({ code: 'SPAWN_RATE', message });
    expect(await refused.exited).toMatchObject({
      cause: 'not-started',
      pid: undefined,
      error: { code: 'SPAWN_RATE', data: { started: 2, windowMs: 1000, retryInMs: 600 } },
    });
    await fake.os.clock.advance(599);
    expect(errors).toMatchObject([{ message }]);
    expect((await tool().exited).error?.code).toBe('SPAWN_RATE');
    await fake.os.clock.advance(1);
    expect(tool().pid).toBeDefined();
    expect(fake.os.launches).toHaveLength(3);
  });

  it('starts exactly the allowed number of a hundred at once', async () => {
    setUp({ spawnRate: { max: 7, windowMs: 1000, maxPerSession: 3 } });
    const all = Array.from({ length: 100 }, (_, n) => tool(n < 50 ? 's' : undefined));
    expect(all.filter(({ pid }) => pid !== undefined)).toHaveLength(7);
    expect(fake.supervisor.list({ sessionId: 's' })).toHaveLength(3);
    const report = await (all[10] as (typeof all)[number]).exited;
    expect(report.error?.message).toBe(
      'Session "s" started 3 processes in the last 1000 ms, and spawnRate.maxPerSession is 3. The next start is possible in 1000 ms; wait, or raise spawnRate.maxPerSession.',
    );
  });

  it('does not count requests that are refused for another reason, or fail to start', async () => {
    const cause = new Error('ENOENT');
    fake.os.failure = { code: 'COMMAND_NOT_FOUND', message: 'there is none', cause };
    expect((await tool().exited).error?.code).toBe('COMMAND_NOT_FOUND');
    fake.os.failure = undefined;
    const aborted = fake.spawn('t', { kind: 'tool', signal: AbortSignal.abort() });
    expect((await aborted.exited).error?.code).toBe('ABORTED');
    expect([tool().pid, tool().pid]).not.toContain(undefined);
    setUp({ pool: { concurrency: 1, hardCap: 1 }, spawnRate: { max: 2, windowMs: 1000 } });
    const first = tool();
    expect((await tool().exited).error?.code).toBe('HARD_CAP');
    fake.os.die(100);
    await fake.until(first.exited);
    expect(tool().pid).toBeDefined();
  });

  it('counts a start before its listeners can start more', () => {
    const inner: (number | undefined)[] = [];
    const onSpawn = () => {
      inner.push(fake.spawn('i', { kind: 'tool' }).pid, fake.spawn('j', { kind: 'tool' }).pid);
    };
    fake.spawn('t', { kind: 'tool', onSpawn });
    expect(inner).toEqual([101, undefined]);
  });

  it('continues after a stop', async () => {
    setUp({ spawnRate: { max: 2, windowMs: 60_000 } });
    tool();
    tool();
    await fake.until(fake.supervisor.stop());
    await fake.until(fake.supervisor.start());
    expect((await tool().exited).error?.code).toBe('SPAWN_RATE');
  });

  it('is off by default', () => {
    setUp({});
    for (let n = 0; n < 300; n++) expect(tool().pid).toBeDefined();
  });
});

describe('a host that is itself supervised', () => {
  const own = (depth: number) =>
    Array.from({ length: depth }, (_, n) => `owner-${n}.record-${n}`).join('/');
  const firstStart = (cookie: string | undefined, options: SupervisorOptions = {}) => {
    using fake = new FakeSupervision({ guardian: false, ...options });
    fake.os.variables = { [COOKIE_VARIABLE]: cookie };
    return { handle: fake.spawn('a'), launches: fake.os.launches };
  };

  it.each([
    ['no cookie', undefined, 4, true],
    ['no cookie, and nothing allowed', undefined, 0, false],
    ['an empty cookie', '', 1, true],
    ['an unreadable cookie', 'what/ever', 1, true],
    ['an overlong cookie', own(1000), 1, true],
    ['depth 3', own(3), 4, true],
    ['depth 4', own(4), 4, false],
    ['depth 4, and more allowed', own(4), 5, true],
    ['depth 5', own(5), 4, false],
    ['a kept process', 'o.r.kept', 1, false],
  ])('with %s', async (_what, cookie, maxDepth, starts) => {
    const { handle, launches } = firstStart(cookie, { maxDepth });
    expect(handle.pid !== undefined).toBe(starts);
    expect(launches).toHaveLength(starts ? 1 : 0);
    if (!starts) expect((await handle.exited).error?.code).toBe('DEPTH_EXCEEDED');
  });

  it('is refused with figures and the way out', async () => {
    const report = await firstStart(own(4)).handle.exited;
    expect(report).toMatchObject({ cause: 'not-started', intentional: false });
    expect(report.error).toMatchObject({ code: 'DEPTH_EXCEEDED', data: { depth: 5, maxDepth: 4 } });
    expect(report.error?.message).toBe(
      'What this host starts would be at depth 5 (the host itself is below 4 supervisors), and maxDepth is 4. Start it from a host further out, or raise maxDepth here.',
    );
  });

  it('can read its depth as far as maxDepth can reach', () => {
    // The longest segments there are: a UUID, an id with a long count, and the suffix of a kept
    // process.
    const id = `${'f'.repeat(8)}-${Number.MAX_SAFE_INTEGER}`;
    const longest = Array.from({ length: 32 }, () => `${crypto.randomUUID()}.${id}.kept`).join('/');
    expect(firstStart(longest, { maxDepth: 32 }).launches).toEqual([]);
  });
});
