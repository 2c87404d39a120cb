/** Token counts, spelled as in the API; a missing one is 0. */
export interface AgentUsage {
  readonly input_tokens?: number;
  readonly output_tokens?: number;
  readonly cache_creation_input_tokens?: number;
  readonly cache_read_input_tokens?: number;
}

/** The input of a tool call. */
export type ToolInput = Readonly<Record<string, unknown>>;

/** The outcome of a tool call. */
export interface ToolOutcome {
  /** The result for the model. @default '' */
  readonly output?: string;
  /** @default false */
  readonly isError?: boolean;
}

/** The end of a turn. */
export interface TurnEnd {
  /** Default: the last text that was said. */
  readonly text?: string;
  /** Costs of this turn. The frame holds the sum of all turns, as with the real agent. @default 0 */
  readonly costUsd?: number;
  readonly usage?: AgentUsage;
  /** The error that ended the turn; without it the turn is a success. */
  readonly error?: 'error_during_execution' | 'error_max_turns' | 'error_max_budget_usd';
  /** Messages of that error. */
  readonly errors?: readonly string[];
}

/** One step of a scripted agent. */
export type AgentStep =
  | { readonly do: 'say'; readonly text: string }
  | ({ readonly do: 'useTool'; readonly name: string; readonly input: ToolInput } & ToolOutcome)
  | ({
      readonly do: 'askPermission';
      readonly name: string;
      readonly input: ToolInput;
    } & PermissionOptions)
  | ({ readonly do: 'result' } & TurnEnd)
  | { readonly do: 'fail'; readonly message: string; readonly status: number }
  | { readonly do: 'send'; readonly frame: Readonly<Record<string, unknown>> }
  | { readonly do: 'complain'; readonly text: string }
  | { readonly do: 'hang'; readonly ignoresSigterm: boolean }
  | { readonly do: 'exit'; readonly code: number }
  | { readonly do: 'crash'; readonly signal: NodeJS.Signals };

const STEPS: Readonly<Record<AgentStep['do'], true>> = {
  ...{ say: true, useTool: true, askPermission: true, result: true, fail: true },
  ...{ send: true, complain: true, hang: true, exit: true, crash: true },
};

export const isStep = (step: unknown): boolean =>
  Object.hasOwn(STEPS, (step as { do?: PropertyKey } | null)?.do ?? '');

/** Options of a permission request, and the outcome of its tool. */
export interface PermissionOptions extends ToolOutcome {
  readonly decisionReason?: string;
  readonly suggestions?: readonly Readonly<Record<string, unknown>>[];
}

/** The host's answer to a permission request; `yield askPermission(…)` returns it to the script. */
export interface PermissionAnswer {
  readonly tool: string;
  readonly behavior: 'allow' | 'deny';
  /** The tool's input, which the host may have changed. */
  readonly input: ToolInput;
  /** The host's message for a denial. */
  readonly message?: string;
}

/** The value of `yield` in a script: the host's answer for `askPermission`, else `undefined`. */
export type StepOutcome = PermissionAnswer | undefined;

/** The steps of one agent process: a list, or a generator that gets the outcome of each step. */
export type AgentSteps =
  | Iterable<AgentStep, unknown, StepOutcome>
  | AsyncIterable<AgentStep, unknown, StepOutcome>;

/** Says a text in one assistant message, with stream events if the host asked for partial messages. */
export const say = (text: string): AgentStep => ({ do: 'say', text });

/** Calls a tool that needs no permission. */
export const useTool = (name: string, input: ToolInput = {}, outcome: ToolOutcome = {}) =>
  ({ do: 'useTool', name, input, ...outcome }) satisfies AgentStep;

/**
 * Calls a tool that needs permission, if the host's `canUseTool` allows it.
 *
 * Without a `canUseTool` it is denied, and under `bypassPermissions` it is called without asking.
 */
export const askPermission = (name: string, input: ToolInput = {}, options?: PermissionOptions) =>
  ({ do: 'askPermission', name, input, ...options }) satisfies AgentStep;

/** Ends the turn; the steps after it answer the next prompt. */
export const result = (end: TurnEnd = {}): AgentStep => ({ do: 'result', ...end });

/** Ends the turn with an API error of this HTTP status, which `query()` throws. @param status default 400 */
export const fail = (message: string, status = 400): AgentStep => ({ do: 'fail', message, status });

/** Writes a frame of your own; `session_id` and `uuid` are filled in. */
export const send = (frame: Readonly<Record<string, unknown>>): AgentStep => ({
  do: 'send',
  frame,
});

/**
 * Reports that the account's usage limit is reached, as the real agent does; the script goes on.
 *
 * @param type default `five_hour`
 */
export const reachUsageLimit = (resetsAt: Date, type = 'five_hour'): AgentStep =>
  send({
    type: 'rate_limit_event',
    rate_limit_info: {
      status: 'rejected',
      resetsAt: Math.ceil(resetsAt.getTime() / 1000),
      rateLimitType: type,
      isUsingOverage: false,
    },
  });

/** Writes to stderr. */
export const complain = (text: string): AgentStep => ({ do: 'complain', text });

/** Hangs until an interrupt or a signal, even at the end of stdin. */
export const hang = ({ ignoresSigterm = false } = {}): AgentStep => ({
  do: 'hang',
  ignoresSigterm,
});

/** Exits at once with this code; the real agent exits with 143 after SIGTERM. */
export const exit = (code: number): AgentStep => ({ do: 'exit', code });

/** Crashes by a signal. @param signal default SIGSEGV */
export const crash = (signal: NodeJS.Signals = 'SIGSEGV'): AgentStep => ({ do: 'crash', signal });
