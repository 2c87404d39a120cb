/** Token counts as the API spells them; what is left out is 0. */
export interface AgentUsage {
  readonly input_tokens?: number;
  readonly output_tokens?: number;
  readonly cache_creation_input_tokens?: number;
  readonly cache_read_input_tokens?: number;
}

/** What a tool is called with. */
export type ToolInput = Readonly<Record<string, unknown>>;

/** What a tool gave back. */
export interface ToolOutcome {
  /** What the model reads as its result. @default '' */
  readonly output?: string;
  /** @default false */
  readonly isError?: boolean;
}

/** How a turn is over. */
export interface TurnEnd {
  /** Default: the last text that was said. */
  readonly text?: string;
  /** What this turn cost; the frame tells the sum of all turns, as the real one does. @default 0 */
  readonly costUsd?: number;
  readonly usage?: AgentUsage;
  /** Why the agent gave up; without it the turn is a success. */
  readonly error?: 'error_during_execution' | 'error_max_turns' | 'error_max_budget_usd';
  /** What is said of that error. */
  readonly errors?: readonly string[];
}

/** One thing that a scripted agent does. */
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

const DEEDS: Readonly<Record<AgentStep['do'], true>> = {
  ...{ say: true, useTool: true, askPermission: true, result: true, fail: true },
  ...{ send: true, complain: true, hang: true, exit: true, crash: true },
};

export const isStep = (step: unknown): boolean =>
  Object.hasOwn(DEEDS, (step as { do?: PropertyKey } | null)?.do ?? '');

/** What a permission request says beside the tool and its input. */
export interface PermissionOptions extends ToolOutcome {
  readonly decisionReason?: string;
  readonly suggestions?: readonly Readonly<Record<string, unknown>>[];
}

/** What the host answered to a permission request; `yield askPermission(…)` gives it to the script. */
export interface PermissionAnswer {
  readonly tool: string;
  readonly behavior: 'allow' | 'deny';
  /** What the tool is run with: the host may have changed it. */
  readonly input: ToolInput;
  /** Why it was denied. */
  readonly message?: string;
}

/** What `yield` gives a script: for `askPermission` the host's answer. */
export type StepOutcome = PermissionAnswer | undefined;

/** The steps of one agent process: a list, or a generator that hears what each of its steps came to. */
export type AgentSteps =
  | Iterable<AgentStep, unknown, StepOutcome>
  | AsyncIterable<AgentStep, unknown, StepOutcome>;

/** Says a text: one assistant message, with its stream events where the host asked for partial messages. */
export const say = (text: string): AgentStep => ({ do: 'say', text });

/** Calls a tool that needs no permission: its call, and its result. */
export const useTool = (name: string, input: ToolInput = {}, outcome: ToolOutcome = {}) =>
  ({ do: 'useTool', name, input, ...outcome }) satisfies AgentStep;

/**
 * Calls a tool that needs permission: asks the host's `canUseTool`, then runs it or not. Denied
 * without being asked where the host has none, and run unasked under `bypassPermissions`.
 */
export const askPermission = (name: string, input: ToolInput = {}, options?: PermissionOptions) =>
  ({ do: 'askPermission', name, input, ...options }) satisfies AgentStep;

/** Ends the turn; what follows in the script answers the next prompt. */
export const result = (end: TurnEnd = {}): AgentStep => ({ do: 'result', ...end });

/** Ends the turn with an error of the API, of this HTTP status; `query()` throws it. @param status default 400 */
export const fail = (message: string, status = 400): AgentStep => ({ do: 'fail', message, status });

/** Writes a frame of your own; `session_id` and `uuid` are filled in. */
export const send = (frame: Readonly<Record<string, unknown>>): AgentStep => ({
  do: 'send',
  frame,
});

/** Writes to stderr. */
export const complain = (text: string): AgentStep => ({ do: 'complain', text });

/** Does nothing any more, whatever becomes of its stdin: until it is interrupted, or ended by a signal. */
export const hang = ({ ignoresSigterm = false } = {}): AgentStep => ({
  do: 'hang',
  ignoresSigterm,
});

/** Exits in the middle of it all; 143 is how the agent exits after SIGTERM. */
export const exit = (code: number): AgentStep => ({ do: 'exit', code });

/** Dies by a signal. @param signal default SIGSEGV */
export const crash = (signal: NodeJS.Signals = 'SIGSEGV'): AgentStep => ({ do: 'crash', signal });
