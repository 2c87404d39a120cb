// superviseQuery with the real SDK and its real agent, each beside the same query unsupervised.
import {
  type Options,
  type Query,
  query,
  type SDKMessage,
  type SDKUserMessage,
} from '@anthropic-ai/claude-agent-sdk';
import { describe, expect } from 'vitest';
import { endByMarker, eventually, findByMarker } from '../../kit/process-table.ts';
import { agentOptions } from '../../kit/real-agent.ts';
import { MARKER } from '../../kit/scenarios.ts';
import { type Step, steer } from '../../kit/steer.ts';
import { it as base, CAN_WATCH_AGENTS } from '../../kit/supervised.ts';
import { type SuperviseQueryOptions, superviseQuery } from '../../src/claude/index.ts';
import type { ExitReport, SupervisorError } from '../../src/index.ts';

/** The agent refuses a sleep that stands alone or first. */
const bash = (command: string) => ({ tools: [{ name: 'Bash', input: { command } }] });
/** It outlives every end of an agent that nobody supervises. */
const LEAVES_A_SLEEP = bash('true; setsid sleep 300 > /dev/null 2>&1 &');
const costs = (thousandTokens: number) => ({
  usage: { input_tokens: thousandTokens * 1000, output_tokens: 0 },
});

const it = base
  .extend('supervisor', ({ supervise }) => supervise())
  .extend(
    'optionsOf',
    ({ api, home, marker }) =>
      (more: Options = {}): Options => ({
        ...agentOptions(api.url, home, { [MARKER]: marker }),
        ...more,
      }),
  )
  .extend('supervised', ({ supervisor }) => (options: SuperviseQueryOptions = {}) => {
    const reports: ExitReport[] = [];
    const ask = superviseQuery(query, {
      supervisor,
      onExit: (report) => reports.push(report),
      ...options,
    });
    return Object.assign(ask, { reports });
  })
  .extend(
    'alive',
    ({ marker }) =>
      () =>
        findByMarker(MARKER, marker),
  )
  /** The negative control: the same unsupervised leaves its sleep behind. */
  .extend('expectLeak', ({ marker }) => async () => {
    const left = await endByMarker(MARKER, marker);
    expect(left.map(({ command }) => command)).toContain('sleep');
  });

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

  const ENDS: readonly [string, (running: Query) => Promise<unknown>][] = [
    [
      'break',
      async (running) => {
        for await (const { type } of running) if (type === 'user') break;
      },
    ],
    [
      'return()',
      async (running) => {
        await untilTool(running);
        await running.return(undefined);
      },
    ],
    [
      'throw()',
      async (running) => {
        await untilTool(running);
        await running.throw(new Error('mine')).catch(() => undefined);
      },
    ],
    [
      'close()',
      async (running) => {
        await untilTool(running);
        running.close();
        await all(running);
      },
    ],
    [
      'leaving an `await using`',
      async (running) => {
        await using it = running;
        await untilTool(it);
      },
    ],
  ];
  it.for(ENDS)('ends all by %s', async ([, end], { supervised, optionsOf, alive, expectLeak }) => {
    const prompt = steer([LEAVES_A_SLEEP, { hang: true, text: 'Never.' }]);
    const ask = supervised();
    const abortController = new AbortController();
    await end(ask({ prompt, options: optionsOf({ abortController }) }));
    expect(alive()).toEqual([]);
    expect(ask.reports).toMatchObject([{ cause: 'terminated', intentional: true }]);
    // It is the caller's, who may have more queries on it.
    expect(abortController.signal.aborted).toBe(false);
    await end(query({ prompt, options: optionsOf() }));
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
    const supervisor = supervise({ pool: { concurrency: 1, hardCap: 1 } });
    const env = { ...process.env, [MARKER]: marker };
    const tool = supervisor.spawn({ kind: 'tool', command: 'sleep', args: ['300'], env });
    await tool.started;
    const reports: ExitReport[] = [];
    const ask = superviseQuery(query, { supervisor, onExit: (report) => reports.push(report) });
    const { error } = await outcome(ask({ prompt: 'Hello', options: optionsOf() }));
    expect(error).toMatchObject({ code: 'HARD_CAP' });
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

describe.runIf(CAN_WATCH_AGENTS)('an end by the supervisor comes out with its report:', () => {
  it.for([
    ['reaped', 'ABORTED'],
    ['shutdown', 'STOPPING'],
    ['duplicate', 'CONVERSATION_BUSY'],
    ['lifetime', 'ABORTED'],
  ] as const)('%s as %s', async ([cause, code], { supervise, api, marker, optionsOf, alive }) => {
    const supervisor = supervise();
    const limits = cause === 'lifetime' ? { lifetimeMs: 2000 } : {};
    const reports: ExitReport[] = [];
    const ask = superviseQuery(query, {
      supervisor,
      sessionId: 's',
      limits,
      onExit: (report) => reports.push(report),
    });
    const sessionId = crypto.randomUUID();
    const running = outcome(
      ask({
        prompt: steer([LEAVES_A_SLEEP, { gate: marker, text: 'Never.' }]),
        options: optionsOf({ sessionId }),
      }),
    );
    // However slow its start is, its lifetime ends by itself.
    if (cause !== 'lifetime') await eventually(() => api.waiting(marker) === 1);
    if (cause === 'reaped') await supervisor.reapSession('s', { reason: 'it is morning' });
    if (cause === 'shutdown') await supervisor.stop();
    const next =
      cause === 'duplicate' &&
      outcome(
        ask({ prompt: steer([{ text: 'Next.' }]), options: optionsOf({ resume: sessionId }) }),
      );
    const { error } = await running;
    expect(error).toMatchObject({ code, data: { report: { cause, sessionId: 's' } } });
    expect((error as SupervisorError).data['report']).toBe(reports[0]);
    if (cause === 'reaped') expect(String(error)).toContain('the cause "reaped": it is morning');
    if (next) expect(await next).toMatchObject({ text: 'Next.' });
    expect(alive()).toEqual([]);
  });
});

describe.runIf(CAN_WATCH_AGENTS)('a budget', () => {
  const say = (text: string, more: Step = {}) => steer([{ text, ...costs(1), ...more }]);

  it('that is spent refuses the next query, and without one it runs', async ({
    supervised,
    optionsOf,
  }) => {
    // A thousand tokens of input cost $0.004.
    const ask = supervised({ sessionId: 's', budget: { perSessionUsd: 0.008 } });
    const run = async (query: typeof ask) =>
      outcome(query({ prompt: say('Said.'), options: optionsOf() }));
    expect(await run(ask)).toMatchObject({ text: 'Said.' });
    expect(await run(ask)).toMatchObject({ text: 'Said.' });
    const { error } = await run(ask);
    expect(error).toMatchObject({
      code: 'BUDGET_EXCEEDED',
      data: { budget: 'perSessionUsd', sessionId: 's' },
    });
    expect(error).toBe(ask.reports[2]?.error);
    expect(await run(supervised({ sessionId: 's' }))).toMatchObject({ text: 'Said.' });
    expect(await run(supervised({ sessionId: 's', budget: { perSessionUsd: 0.1 } }))).toMatchObject(
      { text: 'Said.' },
    );
  });

  it.for([true, false])(
    'ends a running one between two turns: %s',
    async (endRunning, { supervised, optionsOf, alive }) => {
      const ask = supervised({ sessionId: 's', budget: { maxTokens: 2000, endRunning } });
      const turns = new Prompts();
      const running = ask({ prompt: turns.iterate(), options: optionsOf() });
      turns.say(say('One.'));
      expect((await result(running)).subtype).toBe('success');
      turns.say(say('Two.'));
      expect((await result(running)).subtype).toBe('success');
      if (endRunning) {
        const { error } = await outcome(running);
        expect(error).toMatchObject({
          code: 'BUDGET_EXCEEDED',
          data: { report: { cause: 'budget' } },
        });
        expect(String(error)).toContain('Session "s" has spent 2000 tokens');
        expect(alive()).toEqual([]);
      } else {
        turns.say(say('Three.'));
        expect((await result(running)).subtype).toBe('success');
        turns.end();
        expect(await outcome(running)).toEqual({ text: undefined });
      }
    },
  );

  it.for([true, false])(
    'ends a running one in mid-turn: %s',
    async (endRunning, { supervised, api, marker, optionsOf, alive }) => {
      const ask = supervised({ sessionId: 's', budget: { perSessionUsd: 0.004, endRunning } });
      const steps = [
        { ...costs(1), ...LEAVES_A_SLEEP },
        { gate: marker, text: 'Done.' },
      ];
      const running = outcome(ask({ prompt: steer(steps), options: optionsOf() }));
      if (endRunning) {
        const { error } = await running;
        expect(error).toMatchObject({
          code: 'BUDGET_EXCEEDED',
          data: { report: { cause: 'budget' } },
        });
        expect(alive()).toEqual([]);
      } else {
        await eventually(() => api.waiting(marker) === 1);
        api.open(marker);
        expect(await running).toMatchObject({ text: 'Done.' });
      }
    },
  );

  it('that ends with the one answer of a query lets it have it', async ({
    supervised,
    optionsOf,
  }) => {
    const ask = supervised({ sessionId: 's', budget: { perSessionUsd: 0.004, endRunning: true } });
    const all = { prompt: say('Whole.'), options: optionsOf() };
    expect((await outcome(ask(all))).text).toBe('Whole.');
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

async function all(running: AsyncIterable<SDKMessage>): Promise<SDKMessage[]> {
  const messages: SDKMessage[] = [];
  for await (const message of running) messages.push(message);
  return messages;
}

async function outcome(
  running: AsyncIterable<SDKMessage>,
): Promise<{ text?: string | undefined; error?: unknown }> {
  let text: string | undefined;
  try {
    for await (const message of running)
      if (message.type === 'result' && message.subtype === 'success') text = message.result;
    return { text };
  } catch (error) {
    return { text, error };
  }
}

/** Reads on to the first such message, and leaves the query running. */
async function until(
  running: Query,
  isWanted: (message: { type: string; subtype?: string }) => boolean,
): Promise<SDKMessage> {
  for (;;) {
    const { done, value } = await running.next();
    if (done) throw new Error('the query is over');
    if (isWanted(value as { type: string; subtype?: string })) return value;
  }
}

async function result(running: Query): Promise<Extract<SDKMessage, { type: 'result' }>> {
  return (await until(running, ({ type }) => type === 'result')) as Extract<
    SDKMessage,
    { type: 'result' }
  >;
}

/** Reads on to the result of its tool. */
function untilTool(running: Query): Promise<SDKMessage> {
  return until(running, ({ type }) => type === 'user');
}

/** Prompts of one query, said one by one. */
class Prompts {
  readonly #queue: (string | undefined)[] = [];
  #wake = Promise.withResolvers<void>();

  say(...texts: (string | undefined)[]): void {
    this.#queue.push(...texts);
    this.#wake.resolve();
  }

  end(): void {
    this.say(undefined);
  }

  async *iterate(): AsyncGenerator<SDKUserMessage> {
    for (;;) {
      while (this.#queue.length === 0) {
        await this.#wake.promise;
        this.#wake = Promise.withResolvers();
      }
      const content = this.#queue.shift();
      if (content === undefined) return;
      yield { type: 'user', message: { role: 'user', content }, parent_tool_use_id: null };
    }
  }
}

const VARYING = /(?:^|_)(?:uuid|id|ids|path|at)$|_ms$|^(?:timestamp|sessionId|ttft|prompt_id)$/;

/** A message without what differs from run to run. */
function comparable(message: SDKMessage): unknown {
  const text = JSON.stringify(message, (key, value) => (VARYING.test(key) ? '…' : value));
  return JSON.parse(text);
}
