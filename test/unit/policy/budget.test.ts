// Budgets on the in-memory operating system; spending is kept in real files.
import { appendFileSync, existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeOs } from '../../../kit/fake-os.ts';
import { FakeSupervision } from '../../../kit/fake-supervisor.ts';
import type { Budget } from '../../../src/policy/budget.ts';
import type { SupervisedProcess } from '../../../src/process/handle.ts';
import type { SupervisorOptions } from '../../../src/supervisor/options.ts';

const DAY_MS = 86_400_000;

let hosts: FakeSupervision[];
let stateDir: string;
beforeEach(() => {
  hosts = [new FakeSupervision()];
  stateDir = hosts[0]?.stateDir ?? '';
});
afterEach(async () => {
  for (const host of hosts) {
    for (const pid of host.os.alive) host.os.die(pid);
    await host.until(host.supervisor.stop());
  }
  hosts[0]?.[Symbol.dispose]();
});

/** A host on the same state directory, `afterMs` after the first midnight. */
async function host(options: SupervisorOptions = {}, afterMs = 0): Promise<FakeSupervision> {
  const os = new FakeOs();
  await os.clock.advance(afterMs);
  const sweep = { intervalMs: 100 * DAY_MS };
  const session = { maxWallClockMs: null };
  const made = new FakeSupervision(
    { stateDir, sweep, session, pool: { concurrency: 9 }, ...options },
    'linux',
    os,
  );
  hosts.push(made);
  return made;
}

/** The error, if the start was refused. */
async function refusal(process: SupervisedProcess): Promise<string | undefined> {
  if (process.pid !== undefined) return undefined;
  const { error } = await process.exited;
  return `${error?.code}: ${error?.message}`;
}

const usd = (sum: number) => ({ usd: sum, tokens: 0 });

describe('a spent budget', () => {
  it.each<[keyof Budget, string]>([
    [
      'perSessionUsd',
      'Session "s" has spent $2, and budget.perSessionUsd is $2. Begin a new session, or raise budget.perSessionUsd.',
    ],
    [
      'perHostUsd',
      'This host has spent $2, and budget.perHostUsd is $2. Start a new host, or raise budget.perHostUsd.',
    ],
    [
      'perDayUsd',
      'Today all hosts have spent $2, and budget.perDayUsd is $2. Wait for the next day (UTC), or raise budget.perDayUsd.',
    ],
    [
      'maxTokens',
      'Session "s" has spent 2 tokens, and budget.maxTokens is 2 tokens. Begin a new session, or raise budget.maxTokens.',
    ],
  ])('refuses the next start: %s', async (name, message) => {
    const { supervisor } = await host({ budget: { [name]: 2 } });
    const start = () => supervisor.spawn({ command: 'a', sessionId: 's' });
    supervisor.charge('s', { usd: 1.999999, tokens: 1 });
    expect(await refusal(start())).toBeUndefined();
    supervisor.charge('s', { usd: 0.000001, tokens: 1 });
    expect(await refusal(start())).toBe(`BUDGET_EXCEEDED: ${message}`);
    const { error } = await start().exited;
    expect(error?.data).toEqual({ budget: name, limit: 2, spent: 2, sessionId: 's' });
    // The negative control: the same sums, without a budget.
    const free = await host();
    expect(await refusal(free.spawn('a', { sessionId: 's' }))).toBeUndefined();
  });

  it('lets other sessions start if it is a session’s, and processes without one', async () => {
    const { supervisor } = await host({ budget: { perSessionUsd: 1, maxTokens: 1 } });
    supervisor.charge('s', { usd: 5, tokens: 5 });
    supervisor.charge(undefined, { usd: 5, tokens: 5 });
    expect(await refusal(supervisor.spawn({ command: 'a', sessionId: 's' }))).toContain('BUDGET');
    expect(await refusal(supervisor.spawn({ command: 'a', sessionId: 't' }))).toBeUndefined();
    expect(await refusal(supervisor.spawn({ command: 'a' }))).toBeUndefined();
  });

  it('refuses a waiting request when its turn comes', async () => {
    const one = await host({ pool: { concurrency: 1 }, budget: { perHostUsd: 1 } });
    const first = one.spawn('first');
    const second = one.spawn('second');
    one.supervisor.charge(undefined, usd(1));
    one.os.die(first.pid ?? 0);
    expect(await one.until(refusal(second))).toContain('BUDGET_EXCEEDED: This host');
    expect(one.os.alive).toEqual([]);
  });

  it('comes from the request before the supervisor, field by field', async () => {
    const { supervisor } = await host({ budget: { perSessionUsd: 1, perHostUsd: 3 } });
    const start = (budget?: Budget) => supervisor.spawn({ command: 'a', sessionId: 's', budget });
    supervisor.charge('s', usd(2));
    expect(await refusal(start())).toContain('perSessionUsd is $1');
    expect(await refusal(start({ perSessionUsd: 5, perHostUsd: undefined }))).toBeUndefined();
    supervisor.charge('s', usd(2));
    expect(await refusal(start({ perSessionUsd: 5 }))).toContain('perHostUsd is $3');
  });
});

describe('spending', () => {
  it('is kept with the session and the day, not with the host', async () => {
    const first = await host();
    first.supervisor.charge('s', { usd: 1, tokens: 10 });
    first.supervisor.charge('s', { usd: 2 });
    const budget = { perHostUsd: 1 };
    const second = await host({ budget });
    expect(second.supervisor.session('s')?.spent).toEqual({ usd: 3, tokens: 10 });
    expect(await refusal(second.spawn('a'))).toBeUndefined();
    expect(await refusal(second.spawn('a', { budget: { perDayUsd: 3 } }))).toContain('$3');
    expect(
      await refusal(second.spawn('a', { sessionId: 's', budget: { perSessionUsd: 3 } })),
    ).toContain('$3');
  });

  it('is added up over hosts that live at once', async () => {
    const [a, b] = [await host(), await host()];
    a.supervisor.charge('s', usd(1));
    b.supervisor.charge('s', usd(2));
    a.supervisor.charge('s', usd(4));
    for (const { supervisor } of [a, b]) expect(supervisor.session('s')?.spent.usd).toBe(7);
    expect(await refusal(b.spawn('a', { budget: { perDayUsd: 7 } }))).toContain('$7');
  });

  it('counts for its own day in UTC', async () => {
    const one = await host({ budget: { perDayUsd: 2 } }, DAY_MS - 2);
    one.supervisor.charge(undefined, usd(2));
    expect(await refusal(one.spawn('a'))).toContain('Today');
    await one.os.clock.advance(1);
    expect(await refusal(one.spawn('a'))).toContain('Today');
    await one.os.clock.advance(1);
    expect(await refusal(one.spawn('a'))).toBeUndefined();
  });

  it('is forgotten 30 days after its day, and nothing else is', async () => {
    const others = ['spend-x.jsonl', 'spend-2020-01-01.json', 'my-spend-2020-01-01.jsonl'];
    const old = ['spend-2026-10-24.jsonl', 'spend-2020-01-01.jsonl'];
    const young = ['spend-2026-10-25.jsonl', 'spend-2026-11-22.jsonl'];
    for (const name of [...others, ...old, ...young]) writeFileSync(join(stateDir, name), '');
    const one = await host();
    one.supervisor.charge(undefined, usd(1));
    await one.until(one.supervisor.sweep());
    // Age counts only on a clock that was seen to pass a day.
    await one.os.clock.advance(25 * 3_600_000);
    await one.until(one.supervisor.sweep());
    for (const name of [...others, ...young])
      expect(existsSync(join(stateDir, name)), name).toBe(true);
    for (const name of old) expect(existsSync(join(stateDir, name)), name).toBe(false);
  });

  it('costs a warning for a broken line, and keeps the other lines', async () => {
    const one = await host({ budget: { perDayUsd: 3 } });
    one.supervisor.charge(undefined, usd(1));
    const [day = ''] = days();
    const forged = { version: 1, at: 0, spent: { usd: -5, tokens: 0 } };
    appendFileSync(join(stateDir, day), `no json\n${JSON.stringify(forged)}\n`);
    one.supervisor.charge(undefined, usd(2));
    expect(await refusal(one.spawn('a'))).toContain('$3');
    expect(one.eventsOf('warning').map(({ code }) => code)).toEqual(['BUDGET', 'BUDGET']);
  });

  it('is still counted while the supervisor stops, and after it', async () => {
    const one = await host();
    one.spawn('a', { sessionId: 's' });
    const stopped = one.supervisor.stop();
    one.supervisor.charge('s', usd(1));
    await one.until(stopped);
    one.supervisor.charge('s', usd(1));
    const next = await host();
    expect(next.supervisor.session('s')?.spent.usd).toBe(2);
  });
});

describe('a running process', () => {
  const end = async (budget: Budget, charged = 's') => {
    const one = await host({ budget: { endRunning: true, ...budget } });
    const own = one.spawn('own', { sessionId: 's' });
    const other = one.spawn('other', { sessionId: 't' });
    const free = one.spawn('free', { sessionId: 's', budget: { endRunning: false } });
    one.supervisor.charge(charged, { usd: 1, tokens: 1 });
    await one.os.clock.settle();
    expect(one.eventsOf('ending')).toEqual([]);
    one.supervisor.charge(charged, { usd: 1, tokens: 1 });
    await one.os.clock.advance(10_000);
    const ended = one
      .eventsOf('exited')
      .map(({ id, cause, intentional }) => ({ id, cause, intentional }));
    const names = new Map([own, other, free].map(({ id }, i) => [id, ['own', 'other', 'free'][i]]));
    return ended.map(({ id, ...rest }) => ({ name: names.get(id), ...rest }));
  };
  const budgeted = (name: string) => ({ name, cause: 'budget', intentional: true });

  it.each<[string, Budget, string[]]>([
    ["the session's dollar", { perSessionUsd: 2 }, ['own']],
    ["the session's token", { maxTokens: 2 }, ['own']],
    ["the host's", { perHostUsd: 2 }, ['own', 'other']],
    ["the day's", { perDayUsd: 2 }, ['own', 'other']],
  ])('is ended when %s budget is spent, if its budget asks for that', async (_, budget, names) => {
    expect(await end(budget)).toEqual(names.map(budgeted));
  });

  it("lives on when another session's budget is spent, or if it did not ask", async () => {
    expect(await end({ perSessionUsd: 2 }, 'u')).toEqual([]);
    expect(await end({ perHostUsd: 2, endRunning: undefined })).toEqual([]);
    expect(await end({ perHostUsd: 2, endRunning: false })).toEqual([]);
  });

  it('is ended with the reason with which the next start is refused', async () => {
    const one = await host({ budget: { perHostUsd: 1, endRunning: true } });
    one.spawn('a');
    one.supervisor.charge(undefined, usd(1));
    const [{ reason } = { reason: '' }] = one.eventsOf('ending');
    expect(reason).toBe(
      'This host has spent $1, and budget.perHostUsd is $1. Start a new host, or raise budget.perHostUsd.',
    );
  });
});

describe('bad input', () => {
  it.each([
    [{ perSessionUsd: 0 }, '"budget.perSessionUsd" is 0, but must be more than 0.'],
    [{ perHostUsd: -1 }, '"budget.perHostUsd" is -1, but must be more than 0.'],
    [{ perDayUsd: Number.POSITIVE_INFINITY }, '"budget.perDayUsd" is Infinity, but must be'],
    [{ maxTokens: Number.NaN }, '"budget.maxTokens" is NaN, but must be'],
    [
      { perMonthUsd: 1 },
      'unknown option "budget.perMonthUsd". Known here: perSessionUsd, perHostUsd, perDayUsd, maxTokens, endRunning.',
    ],
    [{ endRunning: 1 }, '"budget.endRunning" is 1, but must be boolean.'],
  ])('%j', async (budget, message) => {
    await expect(host({ budget } as SupervisorOptions)).rejects.toThrow(`options: ${message}`);
    const { supervisor } = await host();
    expect(() => supervisor.spawn({ command: 'a', budget } as never)).toThrow(`spawn: ${message}`);
  });

  it.each(['perSessionUsd', 'maxTokens'])('%s without a session is refused', async (name) => {
    const { supervisor } = await host();
    const budget = { [name]: 5 };
    const message = `"budget.${name}" is 5, but must come with a sessionId, whose budget it is.`;
    expect(() => supervisor.spawn({ command: 'a', budget })).toThrow(`spawn: ${message}`);
    expect(() => supervisor.spawnHook({ budget })).toThrow(`spawnHook: ${message}`);
    expect(supervisor.spawn({ command: 'a', sessionId: 's', budget }).pid).toBeDefined();
    const lease = await supervisor.acquire({ sessionId: 't' });
    expect(lease.spawn({ command: 'a', budget }).pid).toBeDefined();
  });

  it.each([
    [{ usd: -1 }, '"usd" is -1'],
    [{ usd: Number.NaN }, '"usd" is NaN'],
    [{ tokens: '1' }, '"tokens" is "1"'],
    [{ cents: 1 }, 'unknown option "cents"'],
    [undefined, '"spent" is undefined'],
  ])('a charge of %j is refused', async (spent, message) => {
    const { supervisor } = await host();
    expect(() => supervisor.charge('s', spent as never)).toThrow(`charge: ${message}`);
    expect(() => supervisor.charge('' as never, { usd: 1 })).toThrow('charge: "sessionId" is ""');
  });
});

function days(): string[] {
  return readdirSync(stateDir).filter((name) => name.startsWith('spend-'));
}
