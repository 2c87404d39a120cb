import * as z from 'zod/mini';
import { NO_NUL, systemText } from '../check.ts';
import { type Budget, budget } from '../policy/budget.ts';
import { type OnDuplicate, onDuplicate } from '../policy/conversation-rules.ts';
import type { Limits, ProcessLimits } from '../policy/limits/limits.ts';
import { requestKeys } from '../policy/pool-options.ts';
import { wallClockMs } from '../policy/session.ts';
import { type EndingOptions, endingFields } from './ending-rules.ts';
import { variablesWhere } from './environment.ts';
import type { SupervisedProcess } from './handle.ts';
import { type StdioOptions, stdioFields } from './stdio-options.ts';

/** @internal */
export const abortSignal = z.lazy(() =>
  z.custom<AbortSignal>((value) => value instanceof AbortSignal, {
    error: 'must be an AbortSignal',
  }),
);

/** @internal An id chosen by the host; a number and its printed string are the same id. */
export const sessionId = z.lazy(() =>
  z.pipe(
    z.union([z.string().check(z.minLength(1), z.maxLength(1024)), z.number()], {
      error: 'must be a number, or a text of 1 to 1024 characters',
    }),
    z.transform(String),
  ),
);

// Copy first: the request may wait, and the caller may change its own object meanwhile.
const environment = () =>
  variablesWhere((name, value) => {
    if (name === '' || name.includes('='))
      return { message: 'must have names that are not empty and hold no "="', path: [] };
    const hasNul = name.includes('\0') || value.includes('\0');
    return hasNul ? { message: NO_NUL, path: [name] } : undefined;
  });

/** @internal */
export const spawnRequest = z.lazy(() =>
  z.strictObject({
    command: systemText().check(z.minLength(1)),
    args: z.optional(z.readonly(z.array(systemText()))),
    cwd: z.optional(systemText().check(z.minLength(1))),
    env: z.optional(environment()),
    ...stdioFields(),
    signal: z.optional(abortSignal),
    sessionId: z.optional(sessionId),
    maxWallClockMs: z.optional(wallClockMs),
    conversationId: z.optional(z.string().check(z.minLength(1), z.maxLength(1024))),
    onDuplicate: z.optional(onDuplicate),
    kind: z._default(z.string().check(z.minLength(1), z.maxLength(256)), 'agent'),
    slot: z.optional(z.boolean()),
    priority: z._default(z.number(), 0),
    keys: z.optional(requestKeys),
    budget: z.optional(budget),
    ...endingFields(),
    outlivesHost: z._default(z.boolean(), false),
    onSpawn: z.optional(
      z.custom<(process: SupervisedProcess) => void>((value) => typeof value === 'function', {
        error: 'must be a function',
      }),
    ),
  }),
);

type OfSession = Pick<
  Partial<z.output<typeof spawnRequest>>,
  'sessionId' | 'maxWallClockMs' | 'budget'
>;

/**
 * @internal Refuses limits and budgets of a session without a session: they would silently have no effect.
 */
export function requireSession(
  { sessionId, maxWallClockMs, budget }: OfSession,
  context: Pick<z.core.$RefinementCtx, 'addIssue'>,
): void {
  if (sessionId !== undefined) return;
  const orphans = [
    [['maxWallClockMs'], maxWallClockMs, 'whose clock it is'],
    [['budget', 'perSessionUsd'], budget?.perSessionUsd, 'whose budget it is'],
    [['budget', 'maxTokens'], budget?.maxTokens, 'whose budget it is'],
  ] as const;
  for (const [path, value, whose] of orphans)
    if (value !== undefined) {
      const message = `must come with a sessionId, ${whose}`;
      context.addIssue({ code: 'custom', path: [...path], message });
    }
}

/** @internal A checked request with its defaults. */
export type CheckedRequest = z.output<typeof spawnRequest> & {
  /** Merged with the limits of its kind and of its supervisor. */
  readonly limits: ProcessLimits;
  /** Variables added to the sanitized environment unless it has them already. */
  readonly defaultEnv?: Readonly<Record<string, string>>;
  /** True for an MCP server or a service: the default hard cap does not count it. */
  readonly servesOthers?: boolean;
  /** True for a service, which says itself when it is ready. */
  readonly tellsReady?: boolean;
  /** True if `conversationId` names a new conversation. */
  readonly isNewConversation?: boolean;
  /** True for a cleanup: `stop` waits for the process that it is for, and does not end it. */
  readonly cleansUp?: true;
  /** The stdout is an agent's: one JSON message a line. */
  readonly output?: 'stream-json';
  /** True if it waits for room below the hard cap, where others are refused. */
  readonly waitsForCap?: boolean;
  /** The longest wait in the queue, in ms; `undefined` waits forever. */
  readonly queueTimeoutMs?: number | undefined;
};

/** A process to start, and the rules for it. */
export interface SpawnRequest extends StdioOptions, EndingOptions {
  command: string;
  /** Arguments, passed to the child unchanged. Default: none. */
  args?: readonly string[] | undefined;
  /** Default: the host's own. */
  cwd?: string | undefined;
  /** The child's whole environment before sanitizing. Default: the host's own. */
  env?: Readonly<Record<string, string | undefined>> | undefined;
  /** An abort ends the process by the ladder, or ends its wait for a slot. */
  signal?: AbortSignal | undefined;
  /** The session this process works for. */
  sessionId?: string | number | undefined;
  /**
   * Time the session may last in all, in ms, from now on and for every host.
   *
   * `null` sets no limit. Default: the supervisor's `session.maxWallClockMs`.
   */
  maxWallClockMs?: number | null | undefined;
  /**
   * The agent's own session id; one agent at a time may run it.
   *
   * Default: the id that `--resume` or `--session-id` names, or the id in the agent's first message.
   */
  conversationId?: string | undefined;
  /**
   * Rule for an agent that already runs the conversation. Default: the supervisor's
   * `conversation.onDuplicate`.
   */
  onDuplicate?: OnDuplicate | undefined;
  /** A label for reports. @default 'agent' */
  kind?: string | undefined;
  /**
   * Takes a slot of the pool.
   *
   * Default: true for kind `agent` and for processes that a spawn hook starts, false for other kinds.
   */
  slot?: boolean | undefined;
  /** Priority in the queue; higher goes first. @default 0 */
  priority?: number | undefined;
  /** Names under which the pool counts it, such as a provider or a repository; `pool.perKey` bounds them. Default: none. */
  keys?: readonly string[] | undefined;
  /** Limits that end the process. Default for each: the limit of its kind, or of the supervisor. */
  limits?: Limits | undefined;
  /** Spending above which the start is refused; each part replaces the supervisor's own. */
  budget?: Budget | undefined;
  /**
   * Lets the process live on when the host ends, even by a crash.
   *
   * Neither the guardian nor `stop` ends the process, and the next host lists it. It has no pipes.
   * @default false
   */
  outlivesHost?: boolean | undefined;
  /** Called once the process runs, in the tick of its start. */
  onSpawn?: ((process: SupervisedProcess) => void) | undefined;
}
