// Which environment the real agent is started with, as the kernel tells.
import { join } from 'node:path';
import type { Options } from '@anthropic-ai/claude-agent-sdk';
import { describe, expect } from 'vitest';
import { runHost } from '../../kit/host.ts';
import { environmentOf, eventually, findByMarker } from '../../kit/process-table.ts';
import { agentBinary, agentEnvironment } from '../../kit/real-agent.ts';
import { MARKER, SHAPES, startScenario } from '../../kit/scenarios.ts';
import { steer } from '../../kit/steer.ts';
import { it as base, CAN_WATCH_AGENTS } from '../../kit/supervised.ts';

/** What an operator gives a host that no agent has started. */
const OPERATOR = {
  CLAUDE_CODE_ENTRYPOINT: 'operators-own',
  CLAUDE_CODE_OAUTH_TOKEN: 'fake-token-of-the-test-rig',
  AWS_REGION: 'eu-north-1',
  HTTPS_PROXY: 'http://127.0.0.1:9',
  https_proxy: 'http://127.0.0.1:9',
  NO_PROXY: '127.0.0.1',
};

/** What a host finds that runs in a tool of another agent. */
const MARKS = {
  CLAUDECODE: '1',
  CLAUDE_CODE_SESSION_ID: '6f9619ff-8b86-4d11-b42d-00c04fc964ff',
  CLAUDE_CODE_EXECPATH: '/opt/outer/claude',
  AI_AGENT: 'outer',
};

const it = base.extend('agentOf', ({ api, home, marker }) => {
  /** Runs a host with these variables; returns the environment of its agent. */
  return async (variables: Readonly<Record<string, string>>): Promise<Record<string, string>> => {
    const prompt = steer([{ gate: marker, text: 'Done.' }]);
    const env = { ...agentEnvironment(api.url, home), [MARKER]: marker, ...variables };
    const host = runHost('query.ts', { args: [join(home, 'state'), prompt], env, cwd: home });
    const look = () => api.waiting(marker) > 0 && findByMarker(MARKER, marker).find(isAgent);
    const agent = await eventually(look, { timeoutMs: 30_000 });
    const environment = asRecord(environmentOf(agent));
    api.open(marker);
    expect(await host).toMatchObject({ code: 0, lines: ['success', 'completed'] });
    return environment;
  };
});

describe.runIf(CAN_WATCH_AGENTS)("an agent's environment", () => {
  it('keeps what an operator has set', async ({ agentOf }) => {
    expect(await agentOf(OPERATOR)).toMatchObject(OPERATOR);
  });

  it('loses the marks of an outer agent, and is that of an SDK agent', async ({ agentOf }) => {
    const { CLAUDE_CODE_ENTRYPOINT: _, ...operator } = OPERATOR;
    const outer = { ...MARKS, CLAUDE_CODE_ENTRYPOINT: 'cli' };
    const environment = await agentOf({ ...operator, ...outer });
    expect(environment).toMatchObject({
      ...operator,
      CLAUDE_CODE_ENTRYPOINT: 'sdk-ts',
      CLAUDE_CODE_SDK_READS_SESSION_STATE: '1',
      CLAUDE_CODE_DISABLE_AGENT_VIEW: '1',
    });
    for (const name of Object.keys(MARKS)) expect(environment).not.toHaveProperty(name);
  });

  it('takes an option bag with unknown keys and undefined values', async ({
    api,
    home,
    marker,
    supervise,
  }) => {
    const hook = supervise().spawnHook();
    const spawnHook: Options['spawnClaudeCodeProcess'] = (options) => {
      const later = { ...options, someday: { verbose: true } };
      later.env = { ...later.env, RIG_UNDEFINED: undefined, RIG_DEFINED: '' };
      return hook(later);
    };
    const plain = SHAPES.find(({ name }) => name === 'plain') ?? expect.fail('no such shape');
    const scenario = await startScenario(plain, { api, home, marker, spawnHook });
    const environment = asRecord(environmentOf(scenario.agent));
    expect(environment).toHaveProperty('RIG_DEFINED', '');
    expect(environment).not.toHaveProperty('RIG_UNDEFINED');
    scenario.end('normal');
    expect(await scenario.done).toEqual({});
  });
});

function isAgent({ args }: { args: readonly string[] }): boolean {
  return args[0] === agentBinary();
}

function asRecord(lines: readonly string[]): Record<string, string> {
  return Object.fromEntries(lines.map((line) => line.split(/=(.*)/s).slice(0, 2)));
}
