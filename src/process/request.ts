import * as z from 'zod/mini';
import { NO_NUL, systemText } from '../check.ts';
import { type Budget, budget } from '../policy/budget.ts';
import { type OnDuplicate, onDuplicate } from '../policy/conversation-rules.ts';
import type { Limits, ProcessLimits } from '../policy/limits/limits.ts';
import { wallClockMs } from '../policy/session.ts';
import { variablesWhere } from './environment.ts';
import type { SupervisedProcess } from './handle.ts';
import { type StdioOptions, stdioFields } from './stdio-options.ts';

/** @internal */
export const abortSignal = z.lazy(() =>
  z.custom<AbortSignal>((value) => value instanceof AbortSignal, {
    error: 'must be an AbortSignal',
  }),
);

/** @internal An id of the host's choosing; numbers and strings are the same if they print the same. */
export const sessionId = z.lazy(() =>
  z.pipe(
    z.union([z.string().check(z.minLength(1), z.maxLength(1024)), z.number()], {
      error: 'must be a number, or a text of 1 to 1024 characters',
    }),
    z.transform(String),
  ),
);

// A copy: the request may wait, and the caller's own may change meanwhile.
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
    budget: z.optional(budget),
    leftovers: z.optional(z.enum(['terminate', 'keep'])),
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

/** @internal What holds for a session must come with one, or it would hold for nothing, unnoticed. */
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

/** @internal A request on its way: checked, with its defaults. */
export type CheckedRequest = z.output<typeof spawnRequest> & {
  /** Merged with those of its kind and its supervisor. */
  readonly limits: ProcessLimits;
  /** What its environment holds besides, once it is sanitized, where it does not hold it already. */
  readonly defaultEnv?: Readonly<Record<string, string>>;
  /** It serves others (an MCP server, a service): the default hard cap does not count it. */
  readonly servesOthers?: boolean;
  /** `conversationId` is to be a new one. */
  readonly isNewConversation?: boolean;
  /** Its stdout is an agent's: a message of JSON a line. */
  readonly output?: 'stream-json';
};

/** What to start, and what for. */
export interface SpawnRequest extends StdioOptions {
  command: string;
  /** Reach the child one to one. Default: none. */
  args?: readonly string[] | undefined;
  /** Default: the host's own. */
  cwd?: string | undefined;
  /** The child's whole environment before sanitizing. Default: the host's own. */
  env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Aborting it ends the process by the ladder, or the wait for a slot. */
  signal?: AbortSignal | undefined;
  /** The session this process works for. */
  sessionId?: string | number | undefined;
  /** How long the session may last in all, in ms, from now on and for every host; `null` is without end. Default: the supervisor's `session.maxWallClockMs`. */
  maxWallClockMs?: number | null | undefined;
  /** The agent's own session id, of which one agent at a time may run. Default: what `--resume` or `--session-id` names, or the agent's first message. */
  conversationId?: string | undefined;
  /** What becomes of the agent that runs the conversation already. Default: the supervisor's `conversation.onDuplicate`. */
  onDuplicate?: OnDuplicate | undefined;
  /** A label for reports. @default 'agent' */
  kind?: string | undefined;
  /** Whether it needs a slot of the pool. Default: what a spawn hook starts and the kind `agent` do, other kinds do not. */
  slot?: boolean | undefined;
  /** Higher goes first in the queue. @default 0 */
  priority?: number | undefined;
  /** What ends it; each that is left out is that of its kind, or of the supervisor. */
  limits?: Limits | undefined;
  /** What may be spent before its start is refused, each part over the supervisor's own. */
  budget?: Budget | undefined;
  /** What becomes of descendants that outlive the process. Default: the supervisor's `leftovers`. */
  leftovers?: 'terminate' | 'keep' | undefined;
  /**
   * For what must live on when the host ends, however it does: no guardian and no `stop` ends it, and
   * the next host lists it. It has no pipes. @default false
   */
  outlivesHost?: boolean | undefined;
  /** Called once the process runs, in the tick of its start. */
  onSpawn?: ((process: SupervisedProcess) => void) | undefined;
}
