import type { AgentUsage, ToolInput, TurnEnd } from './agent-steps.ts';

/** One line of the stream-json protocol. */
export type Frame = Readonly<Record<string, unknown>>;

const MODEL = 'claude-fake';
const NO_TOKENS = {
  input_tokens: 0,
  output_tokens: 0,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 0,
};

/** Makes the frames of one agent, as the real agent writes them (measured: Claude Code 2.1.330). */
export class AgentFrames {
  readonly sessionId: string;
  readonly #cwd: string;
  model: string;
  permissionMode: string;
  #total = { costUsd: 0, usage: NO_TOKENS };
  #results = 0;

  constructor(args: readonly string[], cwd: string) {
    const resumed = args.includes('--fork-session') ? undefined : flag(args, '--resume');
    this.sessionId = flag(args, '--session-id') ?? resumed ?? crypto.randomUUID();
    this.model = flag(args, '--model') ?? MODEL;
    this.permissionMode = flag(args, '--permission-mode') ?? 'default';
    this.#cwd = cwd;
  }

  /** Adds the fields of every frame. */
  stamp(frame: Frame): Frame {
    return { session_id: this.sessionId, uuid: crypto.randomUUID(), ...frame };
  }

  state(state: 'running' | 'idle' | 'requires_action'): Frame {
    return this.stamp({
      type: 'system',
      subtype: 'session_state_changed',
      state,
      sdk_host_only: true,
    });
  }

  init(): Frame {
    return this.stamp({
      type: 'system',
      subtype: 'init',
      cwd: this.#cwd,
      tools: ['Bash', 'Edit', 'Read', 'Write'],
      mcp_servers: [],
      model: this.model,
      permissionMode: this.permissionMode,
      slash_commands: [],
      apiKeySource: 'none',
      claude_code_version: '0.0.0-fake',
      output_style: 'default',
      agents: [],
      skills: [],
      plugins: [],
    });
  }

  status(status: Frame): Frame {
    return this.stamp({ type: 'system', subtype: 'status', status: null, ...status });
  }

  permissionDenied(tool_name: string, tool_use_id: string, message: string): Frame {
    return this.stamp({
      type: 'system',
      subtype: 'permission_denied',
      tool_name,
      tool_use_id,
      message,
    });
  }

  assistant(content: readonly Frame[], id: string, more: Frame = {}): Frame {
    return this.stamp({
      type: 'assistant',
      message: {
        ...this.#message(id),
        content,
        ...(more['error'] === undefined
          ? {}
          : { model: '<synthetic>', stop_reason: 'stop_sequence' }),
      },
      parent_tool_use_id: null,
      timestamp: STAMP,
      request_id: `req_${id}`,
      ...more,
    });
  }

  user(content: readonly Frame[], more: Frame = {}): Frame {
    return this.stamp({
      type: 'user',
      message: { role: 'user', content },
      parent_tool_use_id: null,
      timestamp: STAMP,
      ...more,
    });
  }

  /** Makes the API's stream events before (`open`) and after (`close`) an assistant message. */
  partial(text: string, id: string): { open: Frame[]; close: Frame[] } {
    const event = (event: Frame, more: Frame = {}): Frame =>
      this.stamp({ type: 'stream_event', event, parent_tool_use_id: null, ...more });
    const usage = NO_TOKENS;
    return {
      open: [
        this.status({ status: 'requesting' }),
        event(
          { type: 'message_start', message: { ...this.#message(id), content: [] } },
          { ttft_ms: 0 },
        ),
        event({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }),
        event({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } }),
      ],
      close: [
        event({ type: 'content_block_stop', index: 0 }),
        event({
          type: 'message_delta',
          delta: { stop_reason: 'end_turn', stop_sequence: null },
          usage,
        }),
        event({ type: 'message_stop' }),
      ],
    };
  }

  result(end: TurnEnd & ResultFacts): Frame {
    const {
      costUsd = 0,
      usage = {},
      error,
      errors = [],
      text = '',
      apiError,
      turns,
      denials,
    } = end;
    const own = { ...NO_TOKENS, ...usage };
    this.#total = { costUsd: this.#total.costUsd + costUsd, usage: sum(this.#total.usage, own) };
    const outcome =
      error === undefined
        ? { subtype: 'success', result: text, api_error_status: apiError ?? null }
        : { subtype: error, errors };
    return this.stamp({
      type: 'result',
      ...outcome,
      is_error: error !== undefined || apiError !== undefined,
      duration_ms: 1,
      duration_api_ms: 1,
      num_turns: turns,
      stop_reason: end.stopReason,
      total_cost_usd: this.#total.costUsd,
      usage: {
        ...own,
        server_tool_use: { web_search_requests: 0, web_fetch_requests: 0 },
        service_tier: 'standard',
      },
      modelUsage: apiError === undefined ? { [this.model]: this.#modelUsage() } : {},
      permission_denials: denials,
      terminal_reason:
        end.reason ?? REASONS[error ?? ''] ?? (apiError === undefined ? 'completed' : 'api_error'),
      queued_turn_count: 0,
      result_index: this.#results++,
    });
  }

  #message(id: string): Frame {
    return {
      id,
      type: 'message',
      role: 'assistant',
      model: this.model,
      stop_reason: null,
      stop_sequence: null,
      usage: NO_TOKENS,
    };
  }

  #modelUsage(): Frame {
    const { costUsd, usage } = this.#total;
    return {
      inputTokens: usage.input_tokens,
      outputTokens: usage.output_tokens,
      cacheReadInputTokens: usage.cache_read_input_tokens,
      cacheCreationInputTokens: usage.cache_creation_input_tokens,
      webSearchRequests: 0,
      costUSD: costUsd,
      contextWindow: 200_000,
      maxOutputTokens: 32_000,
    };
  }
}

/** Fields of a turn's result that the script does not set. */
export interface ResultFacts {
  readonly apiError?: number | undefined;
  /** The reason, if the error does not determine it. */
  readonly reason?: string | undefined;
  readonly stopReason: string | null;
  readonly turns: number;
  readonly denials: readonly { tool_name: string; tool_use_id: string; tool_input: ToolInput }[];
}

const STAMP = new Date(0).toISOString();

const REASONS: Readonly<Record<string, string>> = {
  error_max_turns: 'max_turns',
  error_max_budget_usd: 'budget_exhausted',
  error_during_execution: 'aborted_streaming',
};

const sum = (one: typeof NO_TOKENS, other: Required<AgentUsage>): typeof NO_TOKENS => ({
  input_tokens: one.input_tokens + other.input_tokens,
  output_tokens: one.output_tokens + other.output_tokens,
  cache_creation_input_tokens: one.cache_creation_input_tokens + other.cache_creation_input_tokens,
  cache_read_input_tokens: one.cache_read_input_tokens + other.cache_read_input_tokens,
});

/** Returns the value of a flag, spelled `--flag value` or `--flag=value`. */
export function flag(args: readonly string[], name: string): string | undefined {
  const at = args.findIndex((arg) => arg === name || arg.startsWith(`${name}=`));
  if (at < 0) return undefined;
  const arg = args[at] ?? '';
  return (arg === name ? args[at + 1] : arg.slice(name.length + 1)) || undefined;
}
