// The SDK's real query() with fake agents: in milliseconds, without key, network or binary.
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { setTimeout } from 'node:timers/promises';
import { type Options, query, type SDKMessage } from '@anthropic-ai/claude-agent-sdk';
import { describe, expect, it } from 'vitest';
import {
  type AgentScript,
  type AgentStep,
  askPermission,
  complain,
  crash,
  exit,
  fail,
  fakeAgent,
  hang,
  result,
  say,
  send,
  useTool,
} from '../../../src/testing/index.ts';

interface Outcome {
  readonly messages: SDKMessage[];
  readonly error?: string;
}

/** Runs one prompt to its end. */
async function ask(
  script: AgentScript,
  options: Options = {},
  prompt: Parameters<typeof query>[0]['prompt'] = 'Hello?',
) {
  const agent = fakeAgent(script);
  const running = query({ prompt, options: { ...options, spawnClaudeCodeProcess: agent } });
  const outcome = await collect(running);
  const [call] = agent.calls;
  if (call === undefined) throw new Error('query() has not called the hook');
  return { ...outcome, agent, call, end: await call.exited };
}

async function collect(running: AsyncIterable<SDKMessage>): Promise<Outcome> {
  const messages: SDKMessage[] = [];
  try {
    for await (const message of running) messages.push(message);
    return { messages };
  } catch (error) {
    return { messages, error: String(error) };
  }
}

const kindOf = (message: SDKMessage): string =>
  'subtype' in message ? `${message.type} ${message.subtype}` : message.type;

describe('fakeAgent', () => {
  it('says a text and ends its turn', async () => {
    const { messages, call, end } = await ask([say('Hello.'), result({ costUsd: 0.02 })]);
    expect(messages.map(kindOf)).toEqual(['system init', 'assistant', 'result success']);
    expect(messages.at(-1)).toMatchObject({ result: 'Hello.', total_cost_usd: 0.02, num_turns: 1 });
    expect(call.prompts).toEqual(['Hello?']);
    expect(call.args).toContain('stream-json');
    expect(end).toEqual({ code: 0, signal: null });
  });

  it('needs only one step, and no result', async () => {
    expect((await ask([say('Hello.')])).messages.at(-1)).toMatchObject({ result: 'Hello.' });
    expect((await ask([])).messages.map(kindOf)).toEqual(['system init', 'result success']);
  });

  it('answers each prompt with its own turn, and adds up the costs', async () => {
    const { messages, call } = await ask(
      [say('One.'), result({ costUsd: 1 }), say('Two.'), result({ costUsd: 2 })],
      {},
      prompts('first', 'second'),
    );
    const results = messages.filter((message) => message.type === 'result');
    expect(results).toMatchObject([
      { result: 'One.', total_cost_usd: 1 },
      { result: 'Two.', total_cost_usd: 3 },
    ]);
    expect(call.prompts).toEqual(['first', 'second']);
  });

  it('reports an error when the script has no answer left', async () => {
    const { error } = await ask([say('One.'), result()], {}, prompts('first', 'second'));
    expect(error).toContain('The script has no answer to prompt 2');
  });

  it('asks canUseTool, and returns the answer to the script', async () => {
    const { messages, call } = await ask(
      function* () {
        const answer = yield askPermission('Bash', { command: 'rm -r /' });
        yield say(`It was ${answer?.behavior}.`);
      },
      { canUseTool: async () => ({ behavior: 'deny', message: 'Never.' }) },
    );
    expect(messages.at(-1)).toMatchObject({
      result: 'It was deny.',
      permission_denials: [{ tool_name: 'Bash' }],
    });
    expect(call.permissions).toEqual([
      { tool: 'Bash', behavior: 'deny', input: { command: 'rm -r /' }, message: 'Never.' },
    ]);
  });

  it('calls the tool with the input that was allowed', async () => {
    const { call } = await ask([askPermission('Bash', { command: 'ls' }, { output: 'a file' })], {
      canUseTool: async (_tool, input) => ({
        behavior: 'allow',
        updatedInput: { ...input, safe: 1 },
      }),
    });
    expect(call.permissions).toMatchObject([{ behavior: 'allow', input: { safe: 1 } }]);
  });

  it('can answer from the text of the prompt', async () => {
    const { messages } = await ask(({ prompts }) => [say(`You said: ${prompts[0]}`)]);
    expect(messages.at(-1)).toMatchObject({ result: 'You said: Hello?' });
  });

  it.each<[string, AgentStep[], Partial<Outcome>, object]>([
    [
      'an error of the API',
      [fail('too long')],
      { error: expect.stringContaining('400 too long') },
      { code: 1 },
    ],
    ['a code', [exit(3)], { error: expect.stringContaining('exited with code 3') }, { code: 3 }],
    ['143', [exit(143)], { error: expect.stringContaining('143') }, { code: 143 }],
    ['a signal', [crash()], { error: expect.stringContaining('SIGSEGV') }, { signal: 'SIGSEGV' }],
  ])('ends with %s', async (_what, script, outcome, end) => {
    const ended = await ask([say('I try.'), ...script]);
    expect(ended).toMatchObject(outcome);
    expect(ended.end).toMatchObject(end);
  });

  it('hangs until it is interrupted', async () => {
    const agent = fakeAgent([hang(), say('Still here.')]);
    const more = Promise.withResolvers<void>();
    const running = query({
      prompt: prompts('first', more.promise, 'second'),
      options: { spawnClaudeCodeProcess: agent },
    });
    const messages: SDKMessage[] = [];
    for await (const message of running) {
      messages.push(message);
      if (message.type === 'system' && messages.length === 1) await running.interrupt();
      if (message.type === 'result') more.resolve();
      if (message.type === 'result' && message.subtype === 'success') break;
    }
    expect(messages.map(kindOf)).toEqual([
      ...['system init', 'user', 'result error_during_execution'],
      ...['system init', 'assistant', 'result success'],
    ]);
  });

  it('is interrupted while its script waits, and goes on from there', async () => {
    const more = Promise.withResolvers<void>();
    const agent = fakeAgent(async function* () {
      yield say('I wait.');
      await more.promise;
      yield say('It has come.');
    });
    const running = query({
      prompt: prompts('first', more.promise, 'second'),
      options: { spawnClaudeCodeProcess: agent },
    });
    const results: unknown[] = [];
    for await (const message of running) {
      if (message.type === 'assistant' && results.length === 0) await running.interrupt();
      if (message.type !== 'result') continue;
      results.push(message.subtype === 'success' ? message.result : message.subtype);
      more.resolve();
      if (results.length === 2) break;
    }
    expect(results).toEqual(['error_during_execution', 'It has come.']);
  });

  it('ignores a late answer to a request from before an interrupt', async () => {
    const over = Promise.withResolvers<void>();
    const agent = fakeAgent([askPermission('Bash'), result(), say('And now?')]);
    const running = query({
      prompt: prompts('first', over.promise, 'second'),
      options: {
        spawnClaudeCodeProcess: agent,
        canUseTool: async (_tool, updatedInput, { signal }) => {
          void running.interrupt();
          await once(signal, 'abort');
          await over.promise;
          return { behavior: 'allow', updatedInput };
        },
      },
    });
    const seen: string[] = [];
    for await (const message of running) {
      seen.push(kindOf(message));
      if (message.type === 'result') over.resolve();
      if (message.type === 'result' && message.subtype === 'success') break;
    }
    expect(seen).toEqual([
      ...['system init', 'assistant', 'user', 'user', 'result error_during_execution'],
      ...['system init', 'result success'],
    ]);
    expect(agent.calls[0]?.permissions).toEqual([]);
  });

  it('does not block its host with an endless script', async () => {
    const agent = fakeAgent(function* () {
      for (;;) yield say('And another thing.');
    });
    const over = Promise.withResolvers<void>();
    const running = query({
      prompt: prompts('first', over.promise),
      options: { spawnClaudeCodeProcess: agent },
    });
    let said = 0;
    for await (const message of running) {
      if (message.type === 'assistant' && ++said === 5) await running.interrupt();
      if (message.type === 'result') break;
    }
    over.resolve();
    expect(said).toBeGreaterThanOrEqual(5);
  });

  it('writes no more than its host reads', async () => {
    let said = 0;
    const agent = fakeAgent(function* () {
      for (; said < 10_000; said++) yield say('And another thing.');
    });
    const process = agent({ command: 'claude', args: [] });
    process.stdin.write(`${JSON.stringify({ type: 'user', message: { content: 'x' } })}\n`);
    await setTimeout(50);
    expect(said).toBeLessThan(10_000);
    process.stdout.resume();
    process.stdin.end();
    await agent.calls[0]?.exited;
    expect(said).toBe(10_000);
  });

  it('reads a character that is split in two', async () => {
    const agent = fakeAgent([]);
    const process = agent({ command: 'claude', args: [] });
    const line = JSON.stringify({ type: 'user', message: { content: 'grün' } });
    for (const byte of Buffer.from(`${line}\n`)) process.stdin.write(Buffer.of(byte));
    process.stdin.end();
    await agent.calls[0]?.exited;
    expect(agent.calls[0]?.prompts).toEqual(['grün']);
  });

  it('has a new session id when it forks a session', async () => {
    const resume = '7b0b1f3a-6a75-4b3c-9a5c-0d6f0e8b2c11';
    const sessionOf = async (options: Options) =>
      (await ask([], options)).messages.at(-1)?.session_id;
    expect(await sessionOf({ resume })).toBe(resume);
    expect(await sessionOf({ resume, forkSession: true })).toMatch(/^(?!7b0b1f3a)[\da-f-]{36}$/);
  });

  it.each([
    [
      function* () {
        yield 'Hello.';
      },
    ],
    [() => ['Hello.']],
  ])('crashes at what is no step: %s', async (script) => {
    const agent = fakeAgent(script as never);
    const process = agent({ command: 'claude', args: [] });
    const words = text(process.stderr);
    process.stdin.end(`${JSON.stringify({ type: 'user', message: { content: 'x' } })}\n`);
    expect(await agent.calls[0]?.exited).toEqual({ code: 1, signal: null });
    expect(await words).toContain('"step" is "Hello.", but must be a step such as say("…")');
  });

  it.each([
    [hang(), { code: 143, signal: null }],
    [hang({ ignoresSigterm: true }), { code: null, signal: 'SIGKILL' }],
  ])('hangs until it is killed: %j', async (step, end) => {
    const agent = fakeAgent([step]);
    const process = agent({ command: 'claude', args: [] });
    process.stdin.end(`${JSON.stringify({ type: 'user', message: { content: 'x' } })}\n`);
    await new Promise((resolve) => process.stdout.once('data', resolve));
    process.kill('SIGTERM');
    process.kill('SIGKILL');
    expect(await agent.calls[0]?.exited).toEqual(end);
  });

  it('writes custom frames, and text to stderr', async () => {
    const { messages } = await ask([
      send({ type: 'system', subtype: 'informational', content: 'By the way.' }),
      complain('a word\n'),
      useTool('Read', { file_path: 'x' }, { output: 'text' }),
    ]);
    expect(messages.map(kindOf)).toContain('system informational');
  });

  it('crashes when its script does', async () => {
    const { error, end } = await ask(() => {
      throw new Error('the script is wrong');
    });
    expect(error).toContain('exited with code 1');
    expect(end).toEqual({ code: 1, signal: null });
  });

  it.each([[[{ do: 'sing' }]], ['say hello'], [[null]]])('refuses the script %j', (script) => {
    expect(() => fakeAgent(script as never)).toThrow('must be an array of steps');
  });
});

/** Yields the prompts one after another, and waits for a promise among them. */
async function* prompts(...texts: (string | Promise<void>)[]) {
  for (const text of texts) {
    if (typeof text !== 'string') await text;
    else
      yield {
        type: 'user' as const,
        message: { role: 'user' as const, content: text },
        parent_tool_use_id: null,
      };
  }
}
