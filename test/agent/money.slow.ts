// What superviseQuery charges, against the bill of the API itself.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Options,
  type Query,
  query,
  type SDKMessage,
  type SDKUserMessage,
} from '@anthropic-ai/claude-agent-sdk';
import { describe, expect } from 'vitest';
import { PRICES } from '../../kit/fake-api.ts';
import { startHost } from '../../kit/host.ts';
import { eventually } from '../../kit/process-table.ts';
import { agentEnvironment, agentOptions } from '../../kit/real-agent.ts';
import { MARKER } from '../../kit/scenarios.ts';
import { type Step, steer, type Usage } from '../../kit/steer.ts';
import { it as base, CAN_WATCH_AGENTS } from '../../kit/supervised.ts';
import { type SuperviseQueryOptions, superviseQuery } from '../../src/claude/index.ts';

interface Asked {
  readonly messages: readonly SDKMessage[];
  /** The agent's own id of the conversation that came last. */
  readonly conversation: string;
  readonly error: unknown;
}

type Result = Extract<SDKMessage, { type: 'result' }>;
interface Asking extends SuperviseQueryOptions {
  readonly onMessage?: (message: SDKMessage, running: Query) => unknown;
}

const it = base
  .extend('supervisor', ({ supervise }) => supervise())
  .extend('ask', ({ api, home, marker, supervisor }) => {
    return async (
      prompt: string | readonly string[],
      options: Options = {},
      { onMessage = () => undefined, ...more }: Asking = {},
    ): Promise<Asked> => {
      const supervised = superviseQuery(query, { supervisor, sessionId: 'money', ...more });
      const turns = typeof prompt === 'string' ? undefined : new Turns(prompt);
      const running = supervised({
        prompt: turns?.prompts() ?? (prompt as string),
        options: { ...agentOptions(api.url, home, { [MARKER]: marker }), ...options },
      });
      const messages: SDKMessage[] = [];
      const error = await (async () => {
        for await (const message of running) {
          messages.push(message);
          if (message.type === 'result') turns?.next();
          await onMessage(message, running);
        }
      })().catch((thrown: unknown) => thrown);
      return { messages, error, conversation: messages.at(-1)?.session_id ?? '' };
    };
  })
  .extend('charged', ({ supervisor }) => () => {
    const { usd = 0, tokens = 0 } = supervisor.session('money')?.spent ?? {};
    return { usd: Number(usd.toFixed(9)), tokens };
  })
  .extend('billed', ({ api }) => {
    const since = api.requests.length;
    return () => {
      const { usd, tokens } = api.bill(since);
      return { usd: Number(usd.toFixed(9)), tokens };
    };
  });

const says = (text: string, thousand: number, more: Step = {}): Step => ({
  text,
  usage: { input_tokens: thousand * 1000, output_tokens: thousand * 100 },
  ...more,
});
const say = (text: string, thousand: number, more: Step = {}) =>
  steer([says(text, thousand, more)]);
const bash = (command: string) => ({ tools: [{ name: 'Bash', input: { command } }] });

describe.runIf(CAN_WATCH_AGENTS)('the sums are what the API bills:', () => {
  it.for(Object.keys(PRICES))(
    "one answer of %s, at the agent's own prices",
    async (model, { ask, billed, charged }) => {
      const kinds = Object.keys(PRICES[model] ?? {});
      const usage: Usage = Object.fromEntries(kinds.map((kind, i) => [kind, 1000 * 10 ** i]));
      const { messages } = await ask(steer([{ text: 'Hello.', usage }]), { model });
      expect(billed().tokens).toBe(1_111_000);
      expect(charged()).toEqual(billed());
      expect(resultsOf(messages)[0]?.total_cost_usd).toBeCloseTo(billed().usd, 9);
    },
  );

  it('three turns in one query', async ({ ask, billed, charged }) => {
    const { messages } = await ask([say('One.', 1), say('Two.', 2), say('Three.', 3)]);
    expect(totalsOf(messages)).toEqual([0.006, 0.018, 0.036]);
    expect(charged()).toEqual(billed());
  });

  it('a conversation that is resumed, resumed again and forked', async ({
    ask,
    billed,
    charged,
  }) => {
    const { conversation: first } = await ask(say('One.', 1));
    const again = await ask(say('Two.', 2), { resume: first });
    const third = await ask([say('Three.', 3), say('Four.', 4)], { resume: first });
    const fork = await ask(say('Five.', 5), { resume: first, forkSession: true });
    const forked = await ask(say('Six.', 6), { resume: fork.conversation });
    const last = await ask(say('Seven.', 7), { continue: true });
    expect(
      [again, third, fork, forked, last].flatMap(({ messages }) => totalsOf(messages)),
    ).toEqual([0.018, 0.036, 0.06, 0.09, 0.126, 0.168]);
    expect(charged()).toEqual(billed());
  });

  it('/clear between two turns', async ({ ask, billed, charged }) => {
    const { messages } = await ask([say('One.', 5), '/clear', say('Two.', 2), say('Three.', 7)]);
    expect(totalsOf(messages)).toEqual([0.03, 0, 0.012, 0.054]);
    expect(charged()).toEqual(billed());
  });

  it('/clear as the first word in a resumed conversation', async ({ ask, billed, charged }) => {
    const { conversation } = await ask(say('One.', 5));
    const { messages } = await ask(['/clear', say('Two.', 2), say('Three.', 7)], {
      resume: conversation,
    });
    expect(totalsOf(messages)).toEqual([0, 0.012, 0.054]);
    expect(charged()).toEqual(billed());
  });

  it('subagents, in the foreground and in the background', async ({ ask, billed, charged }) => {
    const agent = (run_in_background: boolean) => ({
      name: 'Agent',
      input: {
        description: 'd',
        prompt: say('Sub.', 10),
        subagent_type: 'general-purpose',
        run_in_background,
      },
    });
    for (const inBackground of [false, true])
      await ask(steer([says('Ask.', 1, { tools: [agent(inBackground)] }), says('End.', 2)]));
    expect(charged()).toEqual(billed());
  });

  it('an answer that is interrupted', async ({ ask, billed, charged }) => {
    const turns = [say('One.', 1), say('Cut.', 2, { hang: true }), say('Three.', 4)];
    let results = 0;
    const { messages } = await ask(
      turns,
      { includePartialMessages: true },
      {
        onMessage: async (message, running) => {
          if (message.type === 'result') results += 1;
          const begins = message.type === 'stream_event' && message.event.type === 'message_start';
          if (begins && results === 1) await running.interrupt();
        },
      },
    );
    expect(resultsOf(messages).map(({ subtype }) => subtype)).toEqual([
      'success',
      'error_during_execution',
      'success',
    ]);
    expect(charged()).toEqual(billed());
  });

  it('an error of the API', async ({ ask, billed, charged }) => {
    const { messages } = await ask([
      say('One.', 1),
      steer([{ status: 400, error: 'invalid_request_error' }]),
      say('Three.', 4),
    ]);
    expect(totalsOf(messages)).toEqual([0.006, 0.006, 0.03]);
    const { error } = await ask(steer([{ status: 400, error: 'invalid_request_error' }]));
    expect(error).toBeInstanceOf(Error);
    expect(charged()).toEqual(billed());
  });

  it.for(['KILL', 'TERM'])(
    'SIG%s in mid-turn, and the same conversation resumed',
    async (signal, { home, ask, billed, charged }) => {
      const go = join(home, 'go');
      const last = bash(`true; until [ -e '${go}' ]; do sleep 0.02; done; kill -${signal} $PPID`);
      const turns = [
        say('One.', 1),
        steer([says('Two.', 2, bash('true')), says('Three.', 3, last)]),
      ];
      const onMessage = async () => {
        if (charged().tokens === 6600) await writeFile(go, '');
      };
      const died = await ask(turns, {}, { onMessage });
      expect(died.error).toBeInstanceOf(Error);
      expect(totalsOf(died.messages)).toEqual([0.006]);
      expect(charged()).toEqual(billed());
      const { messages } = await ask(say('After.', 8), { resume: died.conversation });
      // After a SIGKILL the conversation has forgotten what it had cost.
      expect(totalsOf(messages)).toEqual([signal === 'KILL' ? 0.048 : 0.084]);
      expect(charged()).toEqual(billed());
    },
  );

  it.for(['break', 'close()', 'abort'])(
    'a query that is left at its first answer: %s',
    async (how, { ask, billed, charged }) => {
      const abortController = new AbortController();
      const onMessage = ({ type }: SDKMessage, running: Query) => {
        if (type !== 'assistant') return;
        if (how === 'abort') abortController.abort();
        if (how === 'close()') running.close();
        if (how === 'break') throw new Error('left');
      };
      // With nothing but the call in it: a text before it would be a message of its own, and come before the bill.
      const { usage = {} } = says('', 1);
      const call = { usage, ...bash('true; sleep 300') };
      await ask(steer([call, says('Never.', 2)]), { abortController }, { onMessage });
      expect(charged()).toEqual({ usd: 0.006, tokens: 1100 });
      expect(charged()).toEqual(billed());
    },
  );

  it.for([
    ['max turns', { maxTurns: 1 }],
    ['max budget', { maxBudgetUsd: 0.001 }],
  ] as const)('an end by the SDK itself: %s', async ([, options], { ask, billed, charged }) => {
    const { error } = await ask(steer([says('One.', 1, bash('true')), says('Two.', 2)]), options);
    expect(error).toBeInstanceOf(Error);
    expect(charged()).toEqual(billed());
  });

  it('/compact', async ({ ask, charged }) => {
    const { messages } = await ask([say('One.', 1), '/compact', say('Two.', 2)]);
    expect(charged().usd).toBeCloseTo(totalsOf(messages).at(-1) ?? 0, 9);
  });
});

describe.runIf(CAN_WATCH_AGENTS)('what a host has charged outlives it:', () => {
  it('a SIGKILL in mid-turn', async ({ api, home, marker, supervisor, ask, billed, charged }) => {
    const steps = [says('One.', 1, bash('true')), says('Never.', 2, { gate: marker })];
    const env = { ...agentEnvironment(api.url, home), [MARKER]: marker };
    const args = [join(home, 'state'), steer(steps)];
    const host = startHost('supervised-query.ts', { args, env, cwd: home });
    await host.line('charged');
    await eventually(() => api.waiting(marker) === 1);
    process.kill(host.pid, 'SIGKILL');
    expect(await host.end).toMatchObject({ signal: 'SIGKILL' });

    // The answer that was being streamed is billed and was never told.
    expect(charged()).toEqual({ usd: 0.006, tokens: 1100 });
    expect(billed().tokens).toBe(1100 + 2001);
    const refused = await ask(say('Never.', 1), {}, { budget: { perSessionUsd: 0.006 } });
    expect(refused.error).toMatchObject({ code: 'BUDGET_EXCEEDED', data: { spent: 0.006 } });
    const today = await ask(say('Never.', 1), {}, { budget: { perDayUsd: 0.006 } });
    expect(today.error).toMatchObject({ code: 'BUDGET_EXCEEDED' });
    // The negative controls: no such budget, and one that only counts what its own host spends.
    expect(totalsOf((await ask(say('Said.', 1))).messages)).toEqual([0.006]);
    const own = await ask(say('Said.', 1), {}, { budget: { perHostUsd: 0.0061 } });
    expect(totalsOf(own.messages)).toEqual([0.006]);
    await supervisor.stop();
  });
});

function resultsOf(messages: readonly SDKMessage[]): Result[] {
  return messages.filter((message) => message.type === 'result');
}

function totalsOf(messages: readonly SDKMessage[]): number[] {
  return resultsOf(messages).map(({ total_cost_usd }) => Number(total_cost_usd.toFixed(9)));
}

/** Prompts of one query, each asked after the result of the one before. */
class Turns {
  readonly #texts: readonly string[];
  #next = Promise.withResolvers<void>();

  constructor(texts: readonly string[]) {
    this.#texts = texts;
  }

  next(): void {
    this.#next.resolve();
  }

  async *prompts(): AsyncGenerator<SDKUserMessage> {
    for (const content of this.#texts) {
      yield { type: 'user', message: { role: 'user', content }, parent_tool_use_id: null };
      await this.#next.promise;
      this.#next = Promise.withResolvers();
    }
  }
}
