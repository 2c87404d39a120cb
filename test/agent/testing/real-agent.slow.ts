// Compares a fake agent with the real one: the same query() of both, message by message.
import { once } from 'node:events';
import {
  type Options,
  type Query,
  query,
  type SDKMessage,
  type SDKUserMessage,
} from '@anthropic-ai/claude-agent-sdk';
import { describe, expect } from 'vitest';
import { agentOptions } from '../../../kit/real-agent.ts';
import { MARKER } from '../../../kit/scenarios.ts';
import { type Step, steer } from '../../../kit/steer.ts';
import { CAN_WATCH_AGENTS, it } from '../../../kit/supervised.ts';
import {
  type AgentStep,
  askPermission,
  fail,
  fakeAgent,
  hang,
  result,
  say,
  useTool,
} from '../../../src/testing/index.ts';

interface Claim {
  readonly name: string;
  /** The answers of the real agent's model, one list for each prompt. */
  readonly real: readonly (readonly Step[])[];
  readonly fake: readonly AgentStep[];
  readonly options?: Options;
  /** The host's actions while the query runs. */
  readonly drive?: (running: Query) => Promise<unknown>;
  /** The facts to compare: all, unless the fake agent has to differ. */
  readonly compared?: 'results';
  /** `true` if the prompt stream stays open until the result. */
  readonly interactive?: boolean;
}

const write = { file_path: '/nowhere/x', content: 'x' };
const read = { file_path: '/etc/hostname' };
const ASKS: Options = { permissionMode: 'default', allowDangerouslySkipPermissions: false };
const decide = (behavior: 'allow' | 'deny'): Options => ({
  ...ASKS,
  canUseTool: async (_tool, updatedInput) =>
    behavior === 'allow' ? { behavior, updatedInput } : { behavior, message: 'Never.' },
});

let asked = Promise.withResolvers<void>();
/** Waits until the host is asked in this run. */
async function untilAsked(): Promise<void> {
  await asked.promise;
  asked = Promise.withResolvers();
}

const CLAIMS: readonly Claim[] = [
  { name: 'a text', real: [[{ text: 'Hello.' }]], fake: [say('Hello.')] },
  {
    name: 'partial messages',
    real: [[{ text: 'Hello.', chunks: 1 }]],
    fake: [say('Hello.')],
    options: { includePartialMessages: true },
  },
  {
    name: 'a tool',
    real: [[{ tools: [{ name: 'Read', input: read }] }, { text: 'Done.' }]],
    fake: [useTool('Read', read, { output: 'text' }), say('Done.')],
  },
  {
    name: 'a permission that is granted',
    real: [[{ tools: [{ name: 'Bash', input: { command: 'touch x' } }] }, { text: 'Done.' }]],
    fake: [askPermission('Bash', { command: 'touch x' }), say('Done.')],
    options: decide('allow'),
  },
  {
    name: 'a permission that is denied',
    real: [[{ tools: [{ name: 'Write', input: write }] }, { text: 'Done.' }]],
    fake: [
      askPermission('Write', write, {
        decisionReason: 'It is outside.',
        suggestions: [{ type: 'setMode', mode: 'acceptEdits', destination: 'session' }],
      }),
      say('Done.'),
    ],
    options: decide('deny'),
  },
  {
    name: 'a permission that nobody can grant',
    real: [[{ tools: [{ name: 'Write', input: write }] }, { text: 'Done.' }]],
    fake: [askPermission('Write', write), say('Done.')],
    options: ASKS,
  },
  {
    name: 'a tool that needs no permission any more',
    real: [[{ tools: [{ name: 'Bash', input: { command: 'touch x' } }] }, { text: 'Done.' }]],
    fake: [askPermission('Bash', { command: 'touch x' }), say('Done.')],
  },
  {
    name: 'several prompts',
    real: [[{ text: 'One.' }], [{ text: 'Two.' }]],
    fake: [say('One.'), result(), say('Two.')],
  },
  {
    name: 'an error of the API',
    real: [[{ status: 400, error: 'invalid_request_error' }]],
    fake: [fail('the fake API says invalid_request_error')],
  },
  {
    name: 'too many turns',
    real: [[{ tools: [{ name: 'Read', input: read }] }, { text: 'Done.' }]],
    fake: [
      useTool('Read', read),
      result({ error: 'error_max_turns', errors: ['Reached maximum number of turns (1)'] }),
    ],
    options: { maxTurns: 1 },
  },
  {
    name: 'too much money',
    real: [[{ tools: [{ name: 'Read', input: read }] }, { text: 'Done.' }]],
    fake: [
      say('The real one is cut off between a call and its result.'),
      result({ error: 'error_max_budget_usd', errors: ['Reached maximum budget ($0.00001)'] }),
    ],
    compared: 'results',
    options: { maxBudgetUsd: 0.000_01 },
  },
  {
    name: 'an interruption',
    real: [[{ hang: true }]],
    fake: [hang()],
    interactive: true,
    drive: (running) => running.interrupt(),
  },
  {
    name: 'an interruption while the host is asked',
    real: [[{ tools: [{ name: 'Bash', input: { command: 'touch x' } }] }, { text: 'Done.' }]],
    fake: [askPermission('Bash', { command: 'touch x' }), say('Done.')],
    options: {
      ...ASKS,
      canUseTool: async (_tool, updatedInput, { signal }) => {
        asked.resolve();
        await once(signal, 'abort');
        return { behavior: 'allow', updatedInput };
      },
    },
    interactive: true,
    drive: (running) => untilAsked().then(() => running.interrupt()),
  },
  {
    name: 'a host that fails when it is asked',
    real: [[{ tools: [{ name: 'Bash', input: { command: 'touch x' } }] }, { text: 'Done.' }]],
    fake: [askPermission('Bash', { command: 'touch x' }), say('Done.')],
    options: { ...ASKS, canUseTool: () => Promise.reject(new Error('no dialog')) },
  },
  {
    name: 'a session of a given id',
    real: [[{ text: 'Hello.' }]],
    fake: [say('Hello.')],
    options: { sessionId: '7b0b1f3a-6a75-4b3c-9a5c-0d6f0e8b2c11', model: 'claude-haiku-4-5' },
  },
];

describe.runIf(CAN_WATCH_AGENTS)('a fake agent is like the real agent:', () => {
  it.for(CLAIMS)('$name', async (claim, { api, home, marker }) => {
    const options = { ...agentOptions(api.url, home, { [MARKER]: marker }), ...claim.options };
    const real = await run(claim, options);
    const fake = await run(claim, {
      ...options,
      spawnClaudeCodeProcess: fakeAgent(claim.fake),
    });
    expect(fake.messages.map(kindOf)).toEqual(real.messages.map(kindOf));
    for (const [index, message] of fake.messages.entries()) {
      if (claim.compared === 'results' && message.type !== 'result') continue;
      const strange = differences(message, real.messages[index]);
      expect(strange, `message ${index}, ${kindOf(message)}`).toEqual([]);
    }
    expect(fake.asked).toHaveLength(real.asked.length);
    expect(differences(fake.asked, real.asked), 'what canUseTool was asked with').toEqual([]);
    expect(wordsOf(fake.error)).toBe(wordsOf(real.error));
    expect(facts(fake.messages, claim)).toEqual(facts(real.messages, claim));
  });

  it('answers the control requests of the SDK', async ({ api, home, marker }) => {
    const ask = async (options: Options): Promise<unknown> => {
      const asked = Promise.withResolvers<void>();
      const running = query({ prompt: held(asked.promise), options });
      const drained = collect(running);
      const answers = [
        await running.setModel('claude-haiku-4-5'),
        await running.setPermissionMode('plan'),
        await running.setMaxThinkingTokens(5),
        await running.mcpServerStatus(),
        Object.keys((await running.supportedModels())[0] ?? {}).includes('value'),
        Array.isArray(await running.supportedCommands()),
        typeof (await running.accountInfo()),
      ];
      asked.resolve();
      return [answers, (await drained).messages.map(kindOf)];
    };
    const options = agentOptions(api.url, home, { [MARKER]: marker });
    const fake = await ask({ ...options, spawnClaudeCodeProcess: fakeAgent([say('x')]) });
    expect(fake).toEqual(await ask(options));

    async function* held(until: Promise<void>) {
      await until;
      yield user(steer([{ text: 'x' }]));
    }
  });
});

interface Outcome {
  readonly messages: readonly SDKMessage[];
  readonly error: string;
}

/** Runs one query, and returns the arguments of `canUseTool`. */
async function run(
  { real, drive, interactive }: Claim,
  { canUseTool, ...options }: Options,
): Promise<Outcome & { readonly asked: unknown[] }> {
  const asked: unknown[] = [];
  const decide: Options['canUseTool'] =
    canUseTool &&
    ((...question) => {
      asked.push(JSON.parse(JSON.stringify(question)));
      return canUseTool(...question);
    });
  const over = Promise.withResolvers<void>();
  async function* prompts() {
    for (const steps of real) yield user(steer(steps));
    if (interactive) await over.promise;
  }
  const running = query({
    prompt: prompts(),
    options: { ...options, ...(decide && { canUseTool: decide }) },
  });
  const outcome = await collect(running, async (message) => {
    if (message.type === 'system' && message.subtype === 'init') await drive?.(running);
    if (message.type === 'result') over.resolve();
  });
  return { ...outcome, asked };
}

async function collect(
  running: Query,
  onMessage: (message: SDKMessage) => unknown = () => undefined,
): Promise<Outcome> {
  const messages: SDKMessage[] = [];
  try {
    for await (const message of running) {
      messages.push(message);
      await onMessage(message);
    }
    return { messages, error: '' };
  } catch (error) {
    return { messages, error: String(error) };
  }
}

const user = (content: string) => ({
  type: 'user' as const,
  message: { role: 'user' as const, content },
  parent_tool_use_id: null,
});

const kindOf = (message: SDKMessage): string =>
  'subtype' in message ? `${message.type} ${message.subtype}` : message.type;

/** An error without the real agent's own diagnosis. */
const wordsOf = (error: string): string => error.replace(/: \[.*/, '');

/** The facts that a host reads from the messages. */
function facts(messages: readonly SDKMessage[], { compared, options = {} }: Claim): unknown[] {
  return messages.map((message) => {
    if (compared === undefined && message.type === 'assistant')
      return message.message.content.map((block) =>
        block.type === 'text' ? block.text : block.type === 'tool_use' && [block.name, block.input],
      );
    // Without canUseTool, each tool has its own text for the denial.
    if (options.canUseTool && message.type === 'user') return failuresOf(message);
    if (message.type !== 'result') return undefined;
    const { is_error, num_turns, stop_reason, permission_denials, terminal_reason } = message;
    const denied = permission_denials.map(({ tool_name, tool_input }) => [tool_name, tool_input]);
    const text = message.subtype === 'success' ? message.result : '';
    return { is_error, num_turns, stop_reason, denied, terminal_reason, text };
  });
}

/** The texts for the model about skipped tools and interruptions. */
function failuresOf({ message: { content }, tool_use_result }: SDKUserMessage): unknown {
  if (typeof content === 'string') return content;
  return content.map((block) => {
    if (block.type === 'text') return block.text;
    return block.type === 'tool_result' && block.is_error
      ? [block.content, tool_use_result]
      : undefined;
  });
}

/** Lists keys that the fake has and the real agent has not; `null` and empty values match anything. */
function differences(fake: unknown, real: unknown, path = ''): string[] {
  if (fake === null || real === null) return real === undefined ? [`${path} is null`] : [];
  if (Array.isArray(fake) && Array.isArray(real)) {
    if (real.length === 0) return [];
    return fake.flatMap((item, at) => differences(item, real[at] ?? real[0], `${path}[${at}]`));
  }
  if (typeof fake !== typeof real || Array.isArray(fake) !== Array.isArray(real))
    return [`${path} is ${typeof fake}, not ${typeof real}`];
  if (typeof fake !== 'object') return [];
  // A tool's own result and a table by model have their own keys.
  if (path.endsWith('.input')) return [];
  const others = real as Record<string, unknown>;
  return Object.entries(fake).flatMap(([key, value]) => {
    // Empty where a real turn was cut off before the API had counted anything.
    if (path.endsWith('.modelUsage') && Object.keys(others).length === 0) return [];
    const name = path.endsWith('.modelUsage') ? Object.keys(others)[0] : key;
    return differences(value, others[name ?? key], `${path}.${key}`);
  });
}
