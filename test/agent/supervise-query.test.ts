// superviseQuery with the real SDK and its real agent, each beside the same query unsupervised.
import { query } from '@anthropic-ai/claude-agent-sdk';
import { describe, expect } from 'vitest';
import { eventually } from '../../kit/process-table.ts';
import { MARKER } from '../../kit/scenarios.ts';
import { steer } from '../../kit/steer.ts';
import { CAN_WATCH_AGENTS } from '../../kit/supervised.ts';
import {
  all,
  bash,
  comparable,
  it,
  LEAVES_A_SLEEP,
  outcome,
  Prompts,
  result,
  until,
  untilTool,
} from '../../kit/supervised-query.ts';
import { superviseQuery } from '../../src/claude/index.ts';
import type { ExitReport } from '../../src/index.ts';

describe.runIf(CAN_WATCH_AGENTS)('a supervised query', () => {
  it('yields the messages of a bare one, unchanged', async ({ supervised, optionsOf }) => {
    const prompt = steer([
      { text: 'A tool.', ...bash('echo hello') },
      { text: 'Another.', ...bash('false') },
      { text: 'Done.' },
    ]);
    const options = optionsOf({ includePartialMessages: true, model: 'opus' });
    // Without Claude Code's own daemon, as the hook starts it: the agent of that name is not listed then.
    const env = { ...options.env, CLAUDE_CODE_DISABLE_AGENT_VIEW: '1' };
    const bare = await all(query({ prompt, options: { ...options, env } }));
    const ours = await all(supervised()({ prompt, options }));
    expect(ours.map(comparable)).toEqual(bare.map(comparable));
    expect(ours.length).toBeGreaterThan(20);
  });

  it('passes on what the query can do, bound to it', async ({ supervised, optionsOf }) => {
    const turns = new Prompts();
    const running = supervised()({ prompt: turns.iterate(), options: optionsOf() });
    expect(running[Symbol.asyncIterator]()).toBe(running);
    expect(running.interrupt).toBe(running.interrupt);
    for (const name of ['interrupt', 'close', 'setModel', 'next'])
      expect(name in running).toBe(true);
    expect('nonsense' in running).toBe(false);
    turns.say(steer([{ text: 'One.' }]));
    expect((await result(running)).subtype).toBe('success');
    const { supportedCommands } = running;
    expect((await supportedCommands()).length).toBeGreaterThan(0);
    expect(await running.mcpServerStatus()).toEqual([]);
    await running.setModel('claude-haiku-4-5');
    turns.say(steer([{ text: 'Two.' }]));
    expect(Object.keys((await result(running)).modelUsage)).toContain('claude-haiku-4-5');
    turns.say(steer([{ hang: true, text: 'Never.' }]), steer([{ text: 'Three.' }]));
    await until(running, ({ type, subtype }) => type === 'system' && subtype === 'init');
    await running.interrupt();
    expect((await result(running)).subtype).toBe('error_during_execution');
    turns.end();
    await all(running);
    expect(await running.next()).toEqual({ done: true, value: undefined });
  });

  it('is over only when the whole tree is dead', async ({
    supervised,
    optionsOf,
    alive,
    expectLeak,
  }) => {
    const prompt = steer([LEAVES_A_SLEEP, { text: 'Done.' }]);
    const ask = supervised();
    await all(ask({ prompt, options: optionsOf() }));
    expect(alive()).toEqual([]);
    expect(ask.reports).toMatchObject([{ cause: 'completed', leftovers: [{ command: 'sleep' }] }]);
    await all(query({ prompt, options: optionsOf() }));
    await expectLeak();
  });

  it('ends all by its abort', async ({ supervised, optionsOf, alive, expectLeak }) => {
    const prompt = steer([LEAVES_A_SLEEP, { hang: true, text: 'Never.' }]);
    const end = async (ask: typeof query) => {
      const abortController = new AbortController();
      const running = ask({ prompt, options: optionsOf({ abortController }) });
      await untilTool(running);
      abortController.abort();
      await expect(all(running)).rejects.toThrow('aborted');
    };
    const ask = supervised();
    await end(ask);
    expect(alive()).toEqual([]);
    expect(ask.reports).toMatchObject([{ cause: 'aborted' }]);
    await end(query);
    await expectLeak();
  });

  it('takes only itself along when its agent gets a SIGTERM from outside', async ({
    supervised,
    supervisor,
    optionsOf,
    api,
    marker,
    alive,
  }) => {
    const ask = supervised();
    const controllers = [new AbortController(), new AbortController()] as const;
    const prompt = steer([{ gate: marker, text: 'Done.' }]);
    const [hit, spared] = controllers.map((abortController) =>
      outcome(ask({ prompt, options: optionsOf({ abortController }) })),
    );
    await eventually(() => api.waiting(marker) === 2);
    const [first] = supervisor.list();
    process.kill(first?.pid ?? 0, 'SIGTERM');
    expect(await hit).toMatchObject({ error: { message: expect.stringContaining('143') } });
    expect(controllers.map(({ signal }) => signal.aborted)).toEqual([true, false]);
    expect(ask.reports).toMatchObject([{ cause: 'terminated', intentional: true, code: 143 }]);
    expect(alive().length).toBeGreaterThan(0);
    api.open(marker);
    expect(await spared).toMatchObject({ text: 'Done.' });
    expect(controllers[1].signal.aborted).toBe(false);
    expect(ask.reports[1]).toMatchObject({ cause: 'completed' });
  });

  it('waits for its slot', async ({ supervise, api, marker, optionsOf }) => {
    const ask = superviseQuery(query, { supervisor: supervise({ pool: { concurrency: 1 } }) });
    const first = outcome(
      ask({ prompt: steer([{ gate: marker, text: 'First.' }]), options: optionsOf() }),
    );
    const second = outcome(ask({ prompt: steer([{ text: 'Second.' }]), options: optionsOf() }));
    await eventually(() => api.waiting(marker) === 1);
    const before = api.requests.length;
    api.open(marker);
    expect(await first).toMatchObject({ text: 'First.' });
    expect(await second).toMatchObject({ text: 'Second.' });
    expect(api.requests.length).toBeGreaterThan(before);
  });

  it('that is closed while it is queued never starts', async ({ supervise, optionsOf, api }) => {
    const supervisor = supervise({ pool: { concurrency: 1 } });
    const lease = await supervisor.acquire();
    const reports: ExitReport[] = [];
    const ask = superviseQuery(query, { supervisor, onExit: (report) => reports.push(report) });
    const requests = api.requests.length;
    const running = ask({ prompt: steer([{ text: 'Never.' }]), options: optionsOf() });
    running.close();
    expect(await outcome(running)).toEqual({ text: undefined });
    expect(reports).toMatchObject([{ cause: 'not-started', intentional: true }]);
    expect(api.requests.length).toBe(requests);
    lease.release();
  });
});

describe.runIf(CAN_WATCH_AGENTS)('what prevents a start comes out as it is:', () => {
  it('from the iterator', async ({ supervise, marker, optionsOf }) => {
    const supervisor = supervise({ pool: { concurrency: 1, hardCap: 1, hookTimeoutMs: 500 } });
    const env = { ...process.env, [MARKER]: marker };
    const tool = supervisor.spawn({ kind: 'tool', command: 'sleep', args: ['300'], env });
    await tool.started;
    const reports: ExitReport[] = [];
    const ask = superviseQuery(query, { supervisor, onExit: (report) => reports.push(report) });
    const { error } = await outcome(ask({ prompt: 'Hello', options: optionsOf() }));
    expect(error).toMatchObject({ code: 'POOL_TIMEOUT' });
    expect(error).toBe(reports[0]?.error);
    expect(reports).toHaveLength(1);
  });

  it('from the call', async ({ supervise, optionsOf }) => {
    const supervisor = supervise();
    await supervisor.start();
    await supervisor.stop();
    const ask = superviseQuery(query, { supervisor });
    expect(() => ask({ prompt: 'Hello', options: optionsOf() })).toThrow(
      'The supervisor has stopped',
    );
  });
});

describe('superviseQuery', () => {
  const bare = () => (async function* () {})();

  it.for([
    [
      { budgets: {} },
      'superviseQuery: unknown option "budgets". Known here: supervisor, onExit, sessionId,',
    ],
    [
      { supervisor: {} },
      'superviseQuery: "supervisor" is a value of type object, but must be a supervisor',
    ],
    [{ onExit: 'x' }, 'superviseQuery: "onExit" is "x", but must be a function'],
    [{ priority: 'high' }, '"priority" is "high"'],
    [
      { budget: { perSessionUsd: 5 } },
      '"budget.perSessionUsd" is 5, but must come with a sessionId',
    ],
    [{ maxWallClockMs: 5 }, '"maxWallClockMs" is 5, but must come with a sessionId'],
    [
      { limits: { startupMs: 2, lifetimeMs: 1 } },
      '"limits.startupMs" is 2, but must not be longer than "limits.lifetimeMs", which is 1',
    ],
    [{ budget: { perSessionUsd: 0 } }, '"budget.perSessionUsd" is 0, but must be more than 0'],
  ] as const)('refuses %j', ([options, message], { supervise }) => {
    expect(() => superviseQuery(bare, { supervisor: supervise(), ...options } as never)).toThrow(
      message,
    );
  });

  it('refuses a query that has a hook of its own', ({ supervise }) => {
    const supervisor = supervise();
    const ask = superviseQuery(query, { supervisor });
    const options = { spawnClaudeCodeProcess: supervisor.spawnHook() };
    expect(() => ask({ prompt: 'Hello', options })).toThrow(
      expect.objectContaining({
        code: 'INVALID_OPTIONS',
        data: { field: 'options.spawnClaudeCodeProcess' },
      }),
    );
  });
});
