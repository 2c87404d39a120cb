// superviseQuery with queries of other shapes than today's SDK: the parts that it needs of one.
import { describe, expect } from 'vitest';
import { eventually, findByMarker } from '../../../kit/process-table.ts';
import { MARKER } from '../../../kit/scenarios.ts';
import { it as base, CAN_WATCH } from '../../../kit/supervised.ts';
import { type SuperviseQueryOptions, superviseQuery } from '../../../src/claude/index.ts';
import type { ExitReport, SpawnHook } from '../../../src/index.ts';

interface Params {
  readonly prompt: string;
  readonly options?: { readonly resume?: string; readonly abortController?: AbortController };
}

/** An agent that exits at the end of its input, and leaves a process. */
const AGENT = 'setsid sleep 300 > /dev/null 2>&1 & cat > /dev/null';

const total = (usd: number, session = 'a') => ({
  type: 'result',
  session_id: session,
  total_cost_usd: usd,
  modelUsage: { model: { inputTokens: usd * 1000 } },
});

const it = base.extend('ask', async ({ supervise, marker }) => {
  const supervisor = supervise();
  await supervisor.start();
  const reports: ExitReport[] = [];
  /** A query without usage requests. */
  async function* plain(hook: SpawnHook, messages: readonly unknown[]) {
    const env = { PATH: process.env['PATH'], [MARKER]: marker };
    const agent = hook({ command: 'sh', args: ['-c', AGENT], env });
    const isSleep = ({ command }: { command: string }) => command === 'sleep';
    await eventually(() => findByMarker(MARKER, marker).some(isSleep));
    try {
      for (const message of messages) {
        if (message instanceof Error) throw message;
        yield message;
      }
    } finally {
      agent.stdin.end();
    }
  }
  return Object.assign(
    (messages: readonly unknown[], options: SuperviseQueryOptions = {}, query: object = {}) => {
      const onExit = (report: ExitReport) => reports.push(report);
      const bare = ({ options: its }: Params) => {
        const { spawnClaudeCodeProcess } = its as { spawnClaudeCodeProcess: SpawnHook };
        return Object.assign(plain(spawnClaudeCodeProcess, messages), query);
      };
      return superviseQuery<typeof bare>(bare, { supervisor, sessionId: 's', onExit, ...options });
    },
    { supervisor, reports, spent: () => supervisor.session('s')?.spent.usd },
  );
});

describe.runIf(CAN_WATCH)('a query without usage requests', () => {
  it('is over when the tree is dead, and is charged by its results', async ({ ask, marker }) => {
    const messages = [{ type: 'system' }, total(1), 'no message', null, total(3), total(0)];
    const read: unknown[] = [];
    for await (const message of ask(messages)({ prompt: '' })) read.push(message);
    expect(read).toEqual(messages);
    expect(findByMarker(MARKER, marker)).toEqual([]);
    expect(ask.reports).toMatchObject([{ cause: 'completed', leftovers: [{ command: 'sleep' }] }]);
    expect(ask.spent()).toBe(3);
  });

  it('is charged with all costs of a resumed conversation, since the earlier costs are unknown', async ({
    ask,
  }) => {
    for (const sum of [2, 5]) {
      const running = ask([total(sum)])({ prompt: '', options: { resume: 'a' } });
      await all(running);
    }
    expect(ask.spent()).toBe(7);
  });

  it("throws the SDK's own error, after the tree is dead", async ({ ask, marker }) => {
    const error = new Error('mine');
    await expect(all(ask([total(1), error])({ prompt: '' }))).rejects.toBe(error);
    expect(findByMarker(MARKER, marker)).toEqual([]);
  });

  it('ends the whole tree on break', async ({ ask, marker }) => {
    for await (const _ of ask([total(1), total(2)])({ prompt: '' })) break;
    expect(findByMarker(MARKER, marker)).toEqual([]);
    expect(ask.spent()).toBe(1);
  });
});

describe.runIf(CAN_WATCH)('queries on a lease, in a full pool', () => {
  it('run on its slot, for its session, and leave it to the caller', async ({ ask }) => {
    const { supervisor } = ask;
    const queued: string[] = [];
    supervisor.on('queued', ({ id }) => queued.push(id));
    const lease = await supervisor.acquire({ sessionId: 'of the lease', unusedMs: null });
    const other = await supervisor.acquire({ unusedMs: null });
    const onLease = ask([total(1)], { lease, supervisor: undefined, sessionId: undefined });
    for (const prompt of ['one', 'two']) await all(onLease({ prompt }));
    expect(ask.reports).toMatchObject([
      { cause: 'completed', sessionId: 'of the lease' },
      { cause: 'completed', sessionId: 'of the lease' },
    ]);
    expect(supervisor.session('of the lease')?.spent.usd).toBe(2);
    expect(queued).toEqual([]);
    await expect(supervisor.acquire({ timeoutMs: 1 })).rejects.toMatchObject({
      code: 'POOL_TIMEOUT',
    });

    // Without the lease, a query waits for its release.
    const waiting = all(ask([total(1)])({ prompt: '' }));
    await eventually(() => queued.length === 1);
    lease.release();
    await waiting;
    other.release();
  });
});

describe.runIf(CAN_WATCH)('a query with usage requests', () => {
  const name = 'usage_EXPERIMENTAL_MAY_CHANGE_DO_NOT_RELY_ON_THIS_API_YET';
  const says = (usd: number): object => ({ session: { total_cost_usd: usd } });
  const answer = { type: 'assistant', session_id: 'a' };

  it('is not charged with the earlier costs of its conversation', async ({ ask }) => {
    const running = ask([total(5)], {}, { [name]: async () => says(3) });
    await all(running({ prompt: '', options: { resume: 'a' } }));
    expect(ask.spent()).toBe(2);
  });

  it('is charged in mid-turn', async ({ ask }) => {
    const totals = [1, 4];
    const running = ask([answer, answer], {}, { [name]: async () => says(totals.shift() ?? 0) });
    const spent = [];
    for await (const _ of running({ prompt: '' })) spent.push(ask.spent());
    expect(spent).toEqual([1, 4]);
  });

  const failing: readonly [string, () => unknown][] = [
    ['never replies', () => Promise.withResolvers().promise],
    ['refuses', () => Promise.reject(new Error('no'))],
    [
      'throws',
      () => {
        throw new Error('no');
      },
    ],
    ['replies nonsense', () => ({ session: 'x' })],
    ['replies nothing', () => null],
  ];
  it.for(failing)('goes on if that %s', async ([, usage], { ask }) => {
    const running = ask([answer, answer, total(5)], {}, { [name]: usage });
    expect(await all(running({ prompt: '', options: { resume: 'a' } }))).toHaveLength(3);
    expect(ask.spent()).toBe(5);
  });

  it("is asked only once if it has a plan, since each request reaches the plan's server", async ({
    ask,
  }) => {
    let asked = 0;
    const usage = async () => {
      asked += 1;
      return { ...says(1), rate_limits_available: true };
    };
    await all(ask([answer, answer, answer], {}, { [name]: usage })({ prompt: '' }));
    expect(asked).toBe(1);
  });
});

async function all(running: AsyncIterable<unknown>): Promise<unknown[]> {
  const messages: unknown[] = [];
  for await (const message of running) messages.push(message);
  return messages;
}
