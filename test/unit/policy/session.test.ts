// Sessions on the in-memory operating system; their files are real, and so is their damage.
import { appendFileSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeOs } from '../../../kit/fake-os.ts';
import { FakeSupervision } from '../../../kit/fake-supervisor.ts';
import { isSupervisorError } from '../../../src/errors.ts';
import type { SupervisorOptions } from '../../../src/supervisor/options.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const LIMIT_MS = 4 * HOUR_MS;

let hosts: FakeSupervision[];
let stateDir: string;
beforeEach(() => {
  const first = new FakeSupervision();
  hosts = [first];
  stateDir = first.stateDir;
});
afterEach(async () => {
  for (const host of hosts) {
    for (const pid of host.os.alive) host.os.die(pid);
    await host.until(host.supervisor.stop());
  }
  hosts[0]?.[Symbol.dispose]();
});

/** A host on the same state directory, `agoMs` after the machine (or this test) began. */
async function host(
  options: SupervisorOptions = {},
  { afterMs = 0, bootId = 'fake-boot' } = {},
): Promise<FakeSupervision> {
  const os = new FakeOs();
  os.bootId = bootId;
  await os.clock.advance(afterMs);
  const made = new FakeSupervision(
    { stateDir, sweep: { intervalMs: DAY_MS }, ...options },
    'linux',
    os,
  );
  hosts.push(made);
  return made;
}

const ledger = (): string => {
  const [name = ''] = readdirSync(stateDir).filter((file) => file.startsWith('session-'));
  return join(stateDir, name);
};
const lines = (
  from = 0,
): {
  created: { at: number; sinceBootMs: number; bootId: string };
  [key: string]: unknown;
}[] =>
  readFileSync(ledger(), 'utf8')
    .trim()
    .split('\n')
    .slice(from)
    .map((line) => JSON.parse(line));
const rewrite = (change: (line: ReturnType<typeof lines>[number]) => unknown): void =>
  writeFileSync(
    ledger(),
    lines()
      .map((line) => `${JSON.stringify(change(line))}\n`)
      .join(''),
  );
const warnings = (of: FakeSupervision) => of.eventsOf('warning').map(({ message }) => message);

describe('a session', () => {
  it('consists of the processes started for it, whatever the type of its id', async () => {
    const a = await host();
    const process = a.spawn('x', { sessionId: 7 });
    const createdAt = a.os.clock.now();
    expect(a.supervisor.session('7')).toEqual({
      id: '7',
      createdAt,
      ageMs: 0,
      maxWallClockMs: LIMIT_MS,
      expired: false,
      processes: 1,
      live: 1,
      lastEnd: undefined,
      spent: { usd: 0, tokens: 0 },
    });
    await a.os.clock.advance(1000);
    a.os.die(process.pid as number, 3);
    await a.until(process.exited);
    a.spawn('y', { sessionId: '7' });
    expect(a.supervisor.session(7)).toMatchObject({
      createdAt,
      ageMs: a.os.clock.now() - createdAt,
      processes: 2,
      live: 1,
      lastEnd: { cause: 'failed' },
    });
  });

  it('does not exist before its first request, and reading it creates none', async () => {
    const a = await host();
    expect(a.supervisor.session('x')).toBeUndefined();
    expect(readdirSync(stateDir)).toEqual([]);
    const lease = await a.until(a.supervisor.acquire({ sessionId: 'x' }));
    expect(a.supervisor.session('x')).toMatchObject({ processes: 0, live: 0 });
    lease.release();
  });

  it('is identified by its whole id, whatever characters that has', async () => {
    const a = await host();
    for (const sessionId of ['../../x', 'x'.repeat(1024), 'ä\n', 'X', 'x'])
      a.spawn('x', { sessionId, slot: false });
    expect(
      readdirSync(stateDir).filter((name) => /^session-[0-9a-f]{32}\.jsonl$/.test(name)),
    ).toHaveLength(5);
    expect(a.supervisor.session('x')).toMatchObject({ processes: 1 });
  });

  it('is readable after the stop, and by another host', async () => {
    const a = await host();
    const process = a.spawn('x', { sessionId: 's' });
    a.os.die(process.pid as number);
    await a.until(process.exited);
    await a.until(a.supervisor.stop());
    expect(a.supervisor.session('s')).toMatchObject({
      processes: 1,
      lastEnd: { cause: 'completed' },
    });
    const b = await host();
    expect(b.supervisor.session('s')).toEqual({ ...a.supervisor.session('s'), ageMs: 0 });
  });

  it('counts the processes of all hosts, and those of this one as live', async () => {
    const [a, b] = [await host(), await host()];
    a.spawn('x', { sessionId: 's' });
    b.spawn('x', { sessionId: 's' });
    for (const each of [a, b])
      expect(each.supervisor.session('s')).toMatchObject({ processes: 2, live: 1 });
  });

  it('may have several agents, and reports how many', async () => {
    const a = await host();
    a.spawn('x', { sessionId: 's' });
    expect(warnings(a)).toEqual([]);
    a.spawn('x', { sessionId: 's' });
    a.spawn('x', { sessionId: 'other', slot: false });
    expect(a.eventsOf('warning')).toEqual([
      { code: 'SESSION_SHARED', message: '2 processes of session "s" run at once.' },
    ]);
  });

  it('is forgotten when no host has seen it for its retention time, and not before', async () => {
    const a = await host({ session: { retentionMs: DAY_MS, maxWallClockMs: null } });
    a.os.clock.setWall(Date.now());
    const process = a.spawn('x', { sessionId: 'quiet' });
    a.spawn('x', { sessionId: 'live' });
    a.os.die(process.pid as number);
    await a.until(process.exited);
    await a.os.clock.advance(DAY_MS - 60_000);
    await a.until(a.supervisor.sweep());
    const b = await host();
    expect(b.supervisor.session('quiet')).toBeDefined();
    await a.os.clock.advance(120_000);
    await a.until(a.supervisor.sweep());
    expect((await host()).supervisor.session('quiet')).toBeUndefined();
    expect((await host()).supervisor.session('live')).toBeDefined();
  });

  it('is not forgotten by a host that starts while the wall clock is a month ahead', async () => {
    const budget = { perSessionUsd: 1 };
    const a = await host({ budget });
    a.os.clock.setWall(Date.now());
    a.spawn('x', { sessionId: 's' });
    a.supervisor.charge('s', { usd: 5 });
    const createdAt = a.supervisor.session('s')?.createdAt;
    const b = await host({ budget }, { afterMs: 1000 });
    b.os.clock.setWall(Date.now() + 31 * DAY_MS);
    await b.until(b.supervisor.start());
    await b.until(b.supervisor.sweep());
    const c = await host({ budget }, { afterMs: 2000 });
    c.os.clock.setWall(Date.now());
    await c.until(c.supervisor.start());
    expect(c.supervisor.session('s')).toMatchObject({ createdAt, spent: { usd: 5 } });
    const { error } = await c.until(c.spawn('x', { sessionId: 's' }).exited);
    expect(error?.code).toBe('BUDGET_EXCEEDED');
  });
});

describe('the wall clock', () => {
  it('refuses new starts after exactly the limit and a millisecond', async () => {
    const a = await host({ session: { onExpire: 'refuse' } });
    a.spawn('x', { sessionId: 's' });
    await a.os.clock.advance(LIMIT_MS);
    const last = a.spawn('x', { sessionId: 's', slot: false });
    expect(last.pid).toBeDefined();
    expect(a.supervisor.session('s')).toMatchObject({ ageMs: LIMIT_MS, expired: false });
    await a.os.clock.advance(1);
    expect(a.supervisor.session('s')).toMatchObject({ ageMs: LIMIT_MS + 1, expired: true });
    const { error, cause } = await a.until(a.spawn('x', { sessionId: 's', slot: false }).exited);
    expect(cause).toBe('not-started');
    expect(error).toMatchObject({
      code: 'SESSION_EXPIRED',
      data: { sessionId: 's', ageMs: LIMIT_MS + 1, maxWallClockMs: LIMIT_MS },
    });
    expect(a.os.alive).toHaveLength(2);
    expect(a.spawn('x', { sessionId: 'other', slot: false }).pid).toBeDefined();
    expect(a.spawn('x', { slot: false }).pid).toBeDefined();
  });

  it('ends running processes, refuses waiting requests, and is announced once', async () => {
    const a = await host({ pool: { concurrency: 1 } });
    const running = a.spawn('x', { sessionId: 's' });
    const stranger = a.spawn('x', { slot: false });
    const queued = a.spawn('x', { sessionId: 's' });
    const waiting = a.supervisor
      .acquire({ sessionId: 's', timeoutMs: DAY_MS })
      .catch((error) => error);
    await a.os.clock.advance(LIMIT_MS + 1);
    expect((await a.until(queued.exited)).error?.code).toBe('SESSION_EXPIRED');
    expect(isSupervisorError(await a.until(waiting), 'SESSION_EXPIRED')).toBe(true);
    expect(await a.until(running.exited)).toMatchObject({ cause: 'wall-clock', intentional: true });
    expect(a.os.alive).toEqual([stranger.pid]);
    await expect(a.until(a.supervisor.acquire({ sessionId: 's' }))).rejects.toMatchObject({
      code: 'SESSION_EXPIRED',
    });
    await a.os.clock.advance(DAY_MS);
    expect(a.eventsOf('session-expired')).toEqual([
      expect.objectContaining({ sessionId: 's', maxWallClockMs: LIMIT_MS, live: 1 }),
    ]);
  });

  it("leaves running processes alone with 'refuse'", async () => {
    const a = await host({ session: { onExpire: 'refuse' } });
    const running = a.spawn('x', { sessionId: 's' });
    await a.os.clock.advance(10 * DAY_MS);
    expect(a.os.alive).toEqual([running.pid]);
    expect(a.eventsOf('session-expired')).toHaveLength(1);
  });

  it.each([
    ['the supervisor', { session: { maxWallClockMs: null } }, {}],
    ['the session', {}, { maxWallClockMs: null }],
  ])('can be switched off by %s: then nothing ends', async (_, options, request) => {
    const a = await host(options);
    const running = a.spawn('x', { sessionId: 's', ...request });
    await a.os.clock.advance(100 * DAY_MS);
    expect(a.os.alive).toEqual([running.pid]);
    expect(a.supervisor.session('s')).toMatchObject({ maxWallClockMs: null, expired: false });
  });

  it('can be longer than any timer', async () => {
    // The session is remembered for as long.
    const a = await host({ session: { maxWallClockMs: 40 * DAY_MS } });
    const running = a.spawn('x', { sessionId: 's' });
    await a.os.clock.advance(40 * DAY_MS);
    expect(a.os.alive).toEqual([running.pid]);
    const own = { sessionId: 't', maxWallClockMs: 40 * DAY_MS };
    expect(a.spawn('x', own).pid).toBeDefined();
    await a.os.clock.advance(1);
    expect((await a.until(running.exited)).cause).toBe('wall-clock');
  });

  it("is the session's own for every host once it was set, shorter or longer", async () => {
    const a = await host();
    a.spawn('x', { sessionId: 's', maxWallClockMs: HOUR_MS });
    const b = await host({}, { afterMs: HOUR_MS + 1 });
    expect((await b.until(b.spawn('x', { sessionId: 's' }).exited)).error?.code).toBe(
      'SESSION_EXPIRED',
    );
    expect(b.spawn('x', { sessionId: 's', maxWallClockMs: 2 * HOUR_MS }).pid).toBeDefined();
    expect(b.supervisor.session('s')).toMatchObject({
      maxWallClockMs: 2 * HOUR_MS,
      expired: false,
    });
    // The first host checks the session again only when its own clock is due.
    await a.os.clock.advance(HOUR_MS + 1);
    expect(a.eventsOf('session-expired')).toEqual([]);
  });

  it.each([HOUR_MS, null])(
    'set by another host applies here from the next sweep: %o',
    async (maxWallClockMs) => {
      const a = await host({ sweep: { intervalMs: 60_000 } });
      const running = a.spawn('x', { sessionId: 's' });
      await a.os.clock.advance(HOUR_MS / 2);
      const b = await host({}, { afterMs: HOUR_MS / 2 });
      b.spawn('x', { sessionId: 's', maxWallClockMs });
      await a.os.clock.advance(HOUR_MS / 2);
      expect(a.eventsOf('session-expired')).toEqual([]);
      await a.os.clock.advance(10 * HOUR_MS);
      if (maxWallClockMs === null) {
        expect(a.os.alive).toEqual([running.pid]);
        return;
      }
      expect((await a.until(running.exited)).cause).toBe('wall-clock');
      const [{ ageMs = 0 } = {}] = a.eventsOf('session-expired');
      expect(ageMs).toBeLessThan(HOUR_MS + 60_000);
    },
  );

  it('continues to the new limit when another host has raised it, with nothing started in between', async () => {
    const a = await host();
    const running = a.spawn('x', { sessionId: 's', maxWallClockMs: HOUR_MS });
    const b = await host();
    b.spawn('x', { sessionId: 's', maxWallClockMs: 2 * HOUR_MS });
    await a.os.clock.advance(HOUR_MS + 1);
    expect(a.os.alive).toEqual([running.pid]);
    await a.os.clock.advance(HOUR_MS);
    expect((await a.until(running.exited)).cause).toBe('wall-clock');
  });

  it('stays unchanged by a request without a limit, and is written once for equal ones', async () => {
    const a = await host();
    const own = { sessionId: 's', slot: false, maxWallClockMs: HOUR_MS };
    a.spawn('x', own);
    const limits = () => lines().filter((line) => 'maxWallClockMs' in line);
    expect(limits()).toHaveLength(1);
    a.spawn('x', own);
    a.spawn('x', { sessionId: 's', slot: false });
    expect(limits()).toHaveLength(1);
    expect(a.supervisor.session('s')).toMatchObject({ maxWallClockMs: HOUR_MS });
  });

  it('has one timer, however many processes there are, and none after the stop', async () => {
    const a = await host();
    const request = { sessionId: 's', slot: false };
    a.spawn('x', request);
    const timers = a.os.clock.timers.length;
    a.spawn('x', request);
    expect(a.os.clock.timers).toHaveLength(timers);
    await a.until(a.supervisor.stop());
    expect(a.os.clock.timers).toEqual([]);
  });

  it('when another host extends it still ends the processes started here since', async () => {
    const a = await host({ session: { maxWallClockMs: HOUR_MS } });
    a.spawn('x', { sessionId: 's' });
    await a.os.clock.advance(HOUR_MS + 1);
    expect(a.eventsOf('session-expired')).toHaveLength(1);
    const b = await host({}, { afterMs: HOUR_MS + 1 });
    b.spawn('x', { sessionId: 's', maxWallClockMs: 2 * HOUR_MS });
    const again = a.spawn('x', { sessionId: 's' });
    expect(again.pid).toBeDefined();
    await a.os.clock.advance(HOUR_MS);
    expect((await a.until(again.exited)).cause).toBe('wall-clock');
    expect(a.eventsOf('session-expired')).toHaveLength(2);
  });

  it('continues in the next host, and does not begin anew', async () => {
    const a = await host();
    a.spawn('x', { sessionId: 's' });
    const createdAt = a.os.clock.now();
    const b = await host({}, { afterMs: 3 * HOUR_MS });
    const process = b.spawn('x', { sessionId: 's' });
    expect(b.supervisor.session('s')).toMatchObject({ createdAt, ageMs: 3 * HOUR_MS });
    await b.os.clock.advance(HOUR_MS + 1);
    expect((await b.until(process.exited)).cause).toBe('wall-clock');
    const c = await host({}, { afterMs: 5 * HOUR_MS });
    expect((await c.until(c.spawn('x', { sessionId: 's' }).exited)).error?.code).toBe(
      'SESSION_EXPIRED',
    );
    expect(c.eventsOf('session-expired')).toHaveLength(1);
  });

  it.each([DAY_MS, -DAY_MS])(
    'ends nothing wrongly when the clock jumps by %i ms',
    async (jumpMs) => {
      const a = await host();
      const process = a.spawn('x', { sessionId: 's' });
      await a.os.clock.advance(HOUR_MS);
      a.os.clock.setWall(a.os.clock.now() + jumpMs);
      await a.os.clock.advance(HOUR_MS);
      expect(a.supervisor.session('s')).toMatchObject({ ageMs: 2 * HOUR_MS, expired: false });
      // Nor does it in the next host of the same boot.
      const b = await host({}, { afterMs: 2 * HOUR_MS });
      b.os.clock.setWall(b.os.clock.now() + jumpMs);
      expect(b.spawn('x', { sessionId: 's' }).pid).toBeDefined();
      expect(b.supervisor.session('s')).toMatchObject({ ageMs: 2 * HOUR_MS });
      expect(b.supervisor.session('s')?.createdAt).toBeLessThanOrEqual(b.os.clock.now());
      await a.os.clock.advance(2 * HOUR_MS + 1);
      expect((await a.until(process.exited)).cause).toBe('wall-clock');
    },
  );

  it('is the difference of the wall clocks after a reboot, and never below zero', async () => {
    const a = await host();
    a.spawn('x', { sessionId: 's' });
    const b = await host({}, { afterMs: 3 * HOUR_MS, bootId: 'next-boot' });
    b.spawn('x', { sessionId: 's' });
    expect(b.supervisor.session('s')).toMatchObject({ ageMs: 3 * HOUR_MS });
    const c = await host({}, { bootId: 'third-boot' });
    c.os.clock.setWall(c.os.clock.now() - 60_000);
    c.spawn('x', { sessionId: 's' });
    expect(c.supervisor.session('s')?.ageMs).toBe(0);
  });
});

describe('a broken ledger', () => {
  const expired = async (of: FakeSupervision) =>
    (await of.until(of.spawn('x', { sessionId: 's' }).exited)).error?.code;

  it('is reported, and its last good line counts', async () => {
    const a = await host();
    a.spawn('x', { sessionId: 's' });
    const [first = '', ...rest] = readFileSync(ledger(), 'utf8').split('\n');
    writeFileSync(ledger(), [`${first.slice(0, 40)}`, ...rest].join('\n'));
    const b = await host({}, { afterMs: LIMIT_MS + 1 });
    expect(await expired(b)).toBe('SESSION_EXPIRED');
    expect(warnings(b)).toEqual([`${ledger()}:1: unreadable line skipped`]);
  });

  it('gives no extra time for a line from the future', async () => {
    const a = await host();
    a.spawn('x', { sessionId: 's' });
    const good = readFileSync(ledger(), 'utf8');
    const { created, ...line } = lines()[0] as ReturnType<typeof lines>[number];
    const future = {
      at: created.at + 100 * DAY_MS,
      sinceBootMs: created.sinceBootMs + 100 * DAY_MS,
    };
    const forged = { ...line, created: { ...created, ...future } };
    writeFileSync(ledger(), `${JSON.stringify(forged)}\n${good}`);
    const b = await host({}, { afterMs: LIMIT_MS + 1 });
    expect(await expired(b)).toBe('SESSION_EXPIRED');
    expect(warnings(b)).toEqual([`${ledger()}:1: unreadable line skipped`]);
  });

  it('loses nothing to a host whose clock is a little behind', async () => {
    const a = await host({}, { afterMs: 1500 });
    a.spawn('x', { sessionId: 's' });
    a.supervisor.charge('s', { usd: 1 });
    const b = await host();
    b.os.clock.setWall(a.os.clock.now());
    b.spawn('x', { sessionId: 's' });
    expect(b.supervisor.session('s')).toMatchObject({
      createdAt: a.supervisor.session('s')?.createdAt,
      ageMs: 0,
      processes: 2,
      spent: { usd: 1 },
    });
    expect(warnings(b)).toEqual([]);
  });

  it('counts by the clock since boot if only the time stamp is from the future', async () => {
    const a = await host();
    a.spawn('x', { sessionId: 's' });
    rewrite(({ created, ...line }) => ({
      ...line,
      created: { ...created, at: created.at + DAY_MS },
    }));
    const b = await host({}, { afterMs: LIMIT_MS + 1 });
    expect(await expired(b)).toBe('SESSION_EXPIRED');
    expect(warnings(b)).toEqual([expect.stringContaining('created in the future')]);
    expect(b.supervisor.session('s')?.createdAt).toBe(b.os.clock.now() - LIMIT_MS - 1);
  });

  it('without a good line counts from now instead of having no limit, and is written back once', async () => {
    const a = await host();
    a.spawn('x', { sessionId: 's' });
    writeFileSync(ledger(), 'noise\n{"version":1}\n');
    const b = await host();
    const nowMs = Date.now();
    b.os.clock.setWall(nowMs);
    b.spawn('x', { sessionId: 's' });
    expect(warnings(b)).toHaveLength(2);
    const createdAt = b.supervisor.session('s')?.createdAt as number;
    expect(Math.abs(createdAt - nowMs)).toBeLessThan(60_000);
    const written = lines(2);
    expect(written.length).toBeGreaterThan(0);
    expect(new Set(written.map((line) => line.created.at))).toEqual(new Set([createdAt]));
    const c = await host({}, { afterMs: LIMIT_MS + 60_001 });
    c.os.clock.setWall(nowMs + LIMIT_MS + 60_001);
    expect(await expired(c)).toBe('SESSION_EXPIRED');
  });

  it('is not renewed by being broken again', async () => {
    const a = await host();
    a.spawn('x', { sessionId: 's' });
    for (let round = 1; round <= 3; round++) {
      writeFileSync(ledger(), `noise ${round}\n`);
      const later = await host({}, { afterMs: round * 2 * HOUR_MS, bootId: `boot ${round}` });
      later.os.clock.setWall(Date.now() + round * 2 * HOUR_MS);
      const process = later.spawn('x', { sessionId: 's' });
      if (round < 2) expect(process.pid).toBeDefined();
      else expect((await later.until(process.exited)).error?.code).toBe('SESSION_EXPIRED');
      expect(warnings(later).join('\n')).toContain("from the file's creation");
    }
  });

  it('is not renewed by a rewritten time stamp of the file', async () => {
    const a = await host();
    a.spawn('x', { sessionId: 's' });
    utimesSync(ledger(), new Date(), new Date());
    appendFileSync(ledger(), '\u0000\u0000');
    const b = await host({}, { afterMs: LIMIT_MS + 1 });
    expect(await expired(b)).toBe('SESSION_EXPIRED');
  });

  it("does not read lines with another session's id", async () => {
    const a = await host();
    a.spawn('x', { sessionId: 's' });
    rewrite((line) => ({ ...line, session: 'other' }));
    const b = await host();
    b.spawn('x', { sessionId: 's' });
    expect(warnings(b).length).toBeGreaterThan(0);
    expect(b.supervisor.session('s')).toMatchObject({ processes: 1 });
  });
});

describe('bad input', () => {
  const message = (act: () => unknown): string => {
    try {
      act();
    } catch (error) {
      if (isSupervisorError(error, 'INVALID_OPTIONS')) return error.message;
    }
    throw new Error('it was taken');
  };

  it.each([
    [{ maxWallClockMs: -1 }, /session\.maxWallClockMs" is -1/],
    [{ maxWallClockMs: 0 }, /session\.maxWallClockMs" is 0/],
    [{ maxWallClockMs: Number.NaN }, /session\.maxWallClockMs" is NaN/],
    [{ maxWallClockMs: '4h' }, /session\.maxWallClockMs" is "4h"/],
    [{ onExpire: 'kill' }, /session\.onExpire" is "kill", but must be "terminate" or "refuse"/],
    [
      { maxWallClockMs: 40 * DAY_MS, retentionMs: 30 * DAY_MS },
      /session\.retentionMs" is 2592000000, but must be at least maxWallClockMs \(3456000000\)/,
    ],
    [
      { retentionMs: 1000 },
      /session\.retentionMs" is 1000, but must be at least maxWallClockMs \(14400000\)/,
    ],
    [
      { maxWallClockMs: 2000, retentionMs: 1000 },
      /session\.retentionMs" is 1000.*maxWallClockMs \(2000\)/,
    ],
    [{ colour: 1 }, /unknown option "session\.colour"/],
  ])('in the options is refused: %j', (session, pattern) => {
    expect(message(() => new FakeSupervision({ stateDir, session: session as never }))).toMatch(
      pattern,
    );
  });

  it('in a request is refused: a limit without a session, an empty conversation', async () => {
    const a = await host();
    expect(message(() => a.spawn('x', { maxWallClockMs: 5 }))).toMatch(
      /spawn: "maxWallClockMs" is 5, but must come with a sessionId/,
    );
    expect(message(() => a.supervisor.spawnHook({ maxWallClockMs: 5 }))).toMatch(
      /spawnHook: "maxWallClockMs" is 5, but must come with a sessionId/,
    );
    expect(message(() => a.spawn('x', { sessionId: 's', maxWallClockMs: -5 }))).toMatch(/-5/);
    const long = { sessionId: 's', maxWallClockMs: 31 * DAY_MS };
    const forgotten =
      /"maxWallClockMs" is 2678400000, but must be at most "session\.retentionMs", which is 2592000000/;
    expect(message(() => a.spawn('x', long))).toMatch(forgotten);
    expect(message(() => a.supervisor.spawnHook(long))).toMatch(forgotten);
    expect(message(() => a.spawn('x', { conversationId: '' }))).toMatch(/conversationId/);
    expect(message(() => a.spawn('x', { onDuplicate: 'maybe' as never }))).toMatch(/onDuplicate/);
    expect(message(() => a.supervisor.session(true as never))).toMatch(/sessionId/);
    expect(readdirSync(stateDir)).toEqual([]);
  });

  it("in the operator's environment is refused", () => {
    const os = new FakeOs();
    const made = (value: string) => {
      os.variables = { AGENT_SUPERVISOR_WALL_CLOCK: value };
      return new FakeSupervision({ stateDir }, 'linux', os);
    };
    expect(message(() => made('4h'))).toMatch(
      /AGENT_SUPERVISOR_WALL_CLOCK" is "4h".*milliseconds, or none/,
    );
    for (const [value, limit] of [
      ['1000', 1000],
      ['none', null],
      ['', LIMIT_MS],
    ] as const) {
      const a = made(value);
      hosts.push(a);
      a.spawn('x', { sessionId: value || 'unset' });
      expect(a.supervisor.session(value || 'unset')).toMatchObject({ maxWallClockMs: limit });
    }
  });

  it("in the environment has no effect where the host's own option overrides it", () => {
    const os = new FakeOs();
    os.variables = { AGENT_SUPERVISOR_WALL_CLOCK: '1000' };
    const a = new FakeSupervision({ stateDir, session: { maxWallClockMs: null } }, 'linux', os);
    hosts.push(a);
    a.spawn('x', { sessionId: 's' });
    expect(a.supervisor.session('s')).toMatchObject({ maxWallClockMs: null });
  });
});
