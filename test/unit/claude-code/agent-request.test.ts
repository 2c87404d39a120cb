// What the hook makes of a request: an agent's arguments, conversation and environment.
import { describe, expect, it } from 'vitest';
import { agentRequest } from '../../../src/claude-code/agent-request.ts';
import { sanitizeEnv } from '../../../src/process/environment.ts';

const UUID = '0c51e2a4-52c1-4b9e-8d5c-0b0f5a7c1e11';
const VIEW = { CLAUDE_CODE_DISABLE_AGENT_VIEW: '1' };

/** The environment that an agent gets. */
const environment = (env: Record<string, string>) => ({
  ...agentRequest({ env }, 'join', {}).defaultEnv,
  ...sanitizeEnv(env).env,
});

describe('its entrypoint', () => {
  it("is the SDK's where the inherited one went", () => {
    const env = { CLAUDECODE: '1', CLAUDE_CODE_ENTRYPOINT: 'cli', A: 'a' };
    expect(environment(env)).toEqual({ A: 'a', CLAUDE_CODE_ENTRYPOINT: 'sdk-ts', ...VIEW });
  });

  it('stays where it is not inherited, and is none where there was none', () => {
    const env = { CLAUDE_CODE_ENTRYPOINT: 'mine' };
    expect(environment(env)).toEqual({ ...env, ...VIEW });
    expect(environment({ CLAUDECODE: '1' })).toEqual(VIEW);
  });

  it("is judged by the host's environment where it inherits that", () => {
    const { defaultEnv } = agentRequest({}, 'join', { CLAUDE_CODE_ENTRYPOINT: 'cli' });
    expect(defaultEnv).toEqual({ CLAUDE_CODE_ENTRYPOINT: 'sdk-ts', ...VIEW });
  });
});

it.each([
  ['nobody has set', undefined, '1'],
  ['the caller has set', '0', '0'],
  ['the caller has emptied', '', ''],
])('its view of other agents is off by a variable that %s', (_, given, expected) => {
  const name = 'CLAUDE_CODE_DISABLE_AGENT_VIEW';
  const env: Record<string, string> = given === undefined ? {} : { [name]: given };
  expect(environment({ A: 'a', ...env })).toEqual({ A: 'a', [name]: expected });
});

it('keeps what its caller says of its conversation and its slot', () => {
  const request = { args: ['--resume', UUID, '--tools', ''], slot: false, kind: 'tool' };
  expect(agentRequest(request, 'join', {})).toMatchObject({
    ...{ args: ['--resume', UUID, '--tools='], slot: false, kind: 'tool' },
    ...{ conversationId: UUID, isNewConversation: false, output: 'stream-json' },
  });
  expect(agentRequest({ conversationId: 'mine' }, 'join', {})).toMatchObject({
    ...{ args: [], slot: true, conversationId: 'mine' },
  });
});
