import { type EmptyValue, normalize } from './arguments.ts';
import { conversationOf } from './conversation-flags.ts';

/** The parts of a request that Claude Code's rules read or rewrite. */
interface AgentRequest {
  readonly args?: readonly string[] | undefined;
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  readonly conversationId?: string | undefined;
  readonly slot?: boolean | undefined;
}

/**
 * Rewrites a request as Claude Code needs it. `hostEnv` is what it inherits if it has no environment
 * of its own.
 */
export function agentRequest<Request extends AgentRequest>(
  request: Request,
  emptyValue: EmptyValue,
  hostEnv: Readonly<Record<string, string | undefined>>,
) {
  const args = request.args ?? [];
  const { key, isNew } = conversationOf(args, request.conversationId);
  return {
    ...request,
    args: normalize(args, emptyValue),
    defaultEnv: defaultEnv(request.env ?? hostEnv),
    conversationId: key,
    isNewConversation: isNew,
    // A kind is a label: whatever it says, what comes through the hook is an agent.
    slot: request.slot ?? true,
    output: 'stream-json' as const,
  };
}

/** Returns the variables added to an agent's sanitized environment unless its caller has set them. */
function defaultEnv(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return {
    // Keeps an agent from handing its work to Claude Code's own daemon (agent view, `claude --bg`; Claude
    // Code ≥ 2.1.139): one that it starts would serve other people's sessions and end with this agent,
    // and a session in one that ran before would outlive it.
    CLAUDE_CODE_DISABLE_AGENT_VIEW: '1',
    // The SDK sets its own only if there is none, and it found an outer agent's, which is dropped.
    ...(env['CLAUDE_CODE_ENTRYPOINT'] === undefined ? {} : { CLAUDE_CODE_ENTRYPOINT: 'sdk-ts' }),
  };
}
