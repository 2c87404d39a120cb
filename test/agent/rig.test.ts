// The rig itself: the real SDK and its real binary talk to the fake API, and grow the trees asked for.
import { randomUUID } from 'node:crypto';
import {
  type Options,
  query,
  type SDKMessage,
  type SDKResultMessage,
} from '@anthropic-ai/claude-agent-sdk';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type FakeApi, startFakeApi } from '../../kit/fake-api.ts';
import { endByMarker, eventually, isAlive } from '../../kit/process-table.ts';
import {
  AGENT_MISSING,
  agentAvailable,
  agentOptions,
  makeTempDir,
  removeTempDir,
} from '../../kit/real-agent.ts';
import { MARKER, SHAPES, startScenario } from '../../kit/scenarios.ts';
import { type Step, steer } from '../../kit/steer.ts';

if (!agentAvailable()) console.warn(AGENT_MISSING);

describe.runIf(agentAvailable())('the real agent against the fake API', { timeout: 60_000 }, () => {
  let api: FakeApi;
  let home: string;
  let marker: string;

  beforeAll(async () => {
    api = await startFakeApi();
  });
  afterAll(() => api.close());
  beforeEach(async () => {
    home = await makeTempDir();
    marker = randomUUID();
  });
  afterEach(async () => {
    if (process.platform === 'linux') await endByMarker(MARKER, marker);
    await removeTempDir(home);
  });

  /** Runs one query to its end. */
  async function ask(prompt: string | readonly Step[], extra: Options = {}): Promise<SDKMessage[]> {
    const messages: SDKMessage[] = [];
    const options = { ...agentOptions(api.url, home, { [MARKER]: marker }), ...extra };
    const text = typeof prompt === 'string' ? prompt : steer(prompt);
    for await (const message of query({ prompt: text, options })) messages.push(message);
    return messages;
  }

  it('says hello to a prompt that steers nothing', async () => {
    expect(resultOf(await ask('Hello?'))).toMatchObject({
      subtype: 'success',
      is_error: false,
      result: 'Hello from the fake API.',
    });
    expect(api.requests.filter((request) => request.unknown)).toEqual([]);
  });

  it('runs a tool and answers after its result', async () => {
    const messages = await ask([
      { tools: [{ name: 'Bash', input: { command: 'echo from-the-tool' } }] },
      { text: 'The tool has run.', chunks: 3, chunkMs: 5 },
    ]);
    expect(resultOf(messages)).toMatchObject({ num_turns: 2, result: 'The tool has run.' });
    expect(JSON.stringify(messages.filter((message) => message.type === 'user'))).toContain(
      'from-the-tool',
    );
  });

  it('is billed what each step says', async () => {
    const usage = { input_tokens: 1_000, output_tokens: 200, cache_read_input_tokens: 50 };
    const result = resultOf(await ask([{ text: 'Dear me.', usage }]));
    expect(Object.values(result.modelUsage)).toMatchObject([
      { inputTokens: 1_000, outputTokens: 200, cacheReadInputTokens: 50 },
    ]);
  });

  it('hears of an HTTP error', async () => {
    const failing = ask([{ status: 400, error: 'invalid_request_error' }]);
    await expect(failing).rejects.toThrow('invalid_request_error');
  });

  it.runIf(process.platform === 'linux')('grows a tree, and ends at the open gate', async () => {
    const shape = SHAPES.find(({ name }) => name === 'polite MCP server');
    if (shape === undefined) throw new Error('no such shape');
    const scenario = await startScenario(shape, { api, home, marker });
    expect(scenario.processes().map((row) => row.pid)).toContain(scenario.agentPid);
    expect(scenario.processes()).toHaveLength(2);
    scenario.end('normal');
    await expect(scenario.done).resolves.toEqual({});
    await eventually(() => scenario.processes().length === 0);
    expect(isAlive(scenario.agent)).toBe(false);
  });
});

function resultOf(messages: readonly SDKMessage[]): SDKResultMessage {
  const result = messages.find((message) => message.type === 'result');
  if (result === undefined) throw new Error('the agent gave no result');
  return result;
}
