import { z } from 'zod';
import { type Budget, budget } from '../admission/budget.ts';
import { type OnDuplicate, onDuplicate } from '../admission/conversation.ts';
import { wallClockMs } from '../admission/session.ts';
import type { Limits, ProcessLimits } from '../limits/limits.ts';
import { NO_NUL, systemText } from '../validation.ts';
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
  z
    .union([z.string().min(1).max(1024), z.number()], {
      error: 'must be a number, or a text of 1 to 1024 characters',
    })
    .transform(String),
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
    command: systemText().min(1),
    args: z.array(systemText()).readonly().optional(),
    cwd: systemText().min(1).optional(),
    env: environment().optional(),
    ...stdioFields(),
    signal: abortSignal.optional(),
    sessionId: sessionId.optional(),
    maxWallClockMs: wallClockMs.optional(),
    conversationId: z.string().min(1).max(1024).optional(),
    onDuplicate: onDuplicate.optional(),
    kind: z.string().min(1).max(256).default('agent'),
    slot: z.boolean().optional(),
    priority: z.number().default(0),
    budget: budget.optional(),
    leftovers: z.enum(['terminate', 'keep']).optional(),
    outlivesHost: z.boolean().default(false),
    onSpawn: z
      .custom<(process: SupervisedProcess) => void>((value) => typeof value === 'function', {
        error: 'must be a function',
      })
      .optional(),
  }),
);

type OfSession = Pick<
  Partial<z.output<typeof spawnRequest>>,
  'sessionId' | 'maxWallClockMs' | 'budget'
>;

/** @internal What holds for a session must come with one, or it would hold for nothing, unnoticed. */
export function requireSession(
  { sessionId, maxWallClockMs, budget }: OfSession,
  context: Pick<z.RefinementCtx, 'addIssue'>,
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

/** @internal A request as the stations see it: checked, with its defaults. */
export type CheckedRequest = z.output<typeof spawnRequest> & {
  /** Merged with those of its kind and its supervisor. */
  readonly limits: ProcessLimits;
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
  /** Whether it needs a slot of the pool. Default: agents do, other kinds do not. */
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
