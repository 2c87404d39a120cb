import * as z from 'zod/mini';

/** The policy for a request whose conversation has a live agent already. */
export type OnDuplicate = 'replace' | 'takeover' | 'reject' | 'allow';

/** @internal */
export const onDuplicate = z.lazy(() => z.enum(['replace', 'takeover', 'reject', 'allow']));

/** @internal */
export const conversationOptions = z.lazy(() =>
  z.prefault(z.strictObject({ onDuplicate: z._default(onDuplicate, 'replace') }), {}),
);

/** The conversation that a request's agent will run. */
export interface ConversationWish {
  /** The conversation's id; `undefined` until the agent's first message names it. */
  readonly key: string | undefined;
  /**
   * True for a new conversation with a given id, also by a fork. The agent itself refuses an id
   * that is in use (measured, SDK 0.3.330).
   */
  readonly isNew: boolean;
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** The flag in either spelling, with its value if that is joined to it. */
const RESUME = /^(?:--resume(?:=(.*))?|-r(?:=?(.+))?)$/s;
const SESSION_ID = /^--session-id(?:=(.*))?$/s;

/**
 * Reads the conversation from an agent's arguments; a caller's `conversationId` goes before them.
 */
export function conversationOf(
  args: readonly string[],
  conversationId?: string | undefined,
): ConversationWish {
  const end = args.indexOf('--');
  const flags = end < 0 ? args : args.slice(0, end);
  const resumed = lastUuid(flags, RESUME);
  const chosen = lastUuid(flags, SESSION_ID);
  const forks = flags.includes('--fork-session');
  const key = conversationId?.toLowerCase() ?? (forks ? chosen : (resumed ?? chosen));
  // Both flags without a fork: the agent refuses to start, so no other agent has to be ended for
  // it.
  const isRefused = chosen !== undefined && resumed !== undefined && !forks;
  return { key, isNew: isRefused || (chosen !== undefined && chosen === key) };
}

/** Any value but a UUID is a title to search for, or the next flag. */
function lastUuid(flags: readonly string[], flag: RegExp): string | undefined {
  let found: string | undefined;
  for (const [index, arg] of flags.entries()) {
    const match = flag.exec(arg);
    const value = match && (match[1] ?? match[2] ?? flags[index + 1] ?? '');
    if (value && UUID.test(value)) found = value.toLowerCase();
  }
  return found;
}

/**
 * The owner of a conversation's agent at this moment. `out of reach` is alive, but this host cannot
 * end it. `silent` has shown no sign of life yet, and is given up if none comes.
 */
export type Holder =
  | 'nobody'
  | 'us'
  | 'another'
  | 'dead host'
  | 'silent'
  | 'out of reach'
  | 'unproven';

export type DuplicateVerdict =
  | 'start'
  | 'share'
  | 'end ours'
  | 'end theirs'
  | 'recover'
  | 'wait'
  | 'busy';

/** Decides what to do about the agent that already runs a request's conversation. */
export function judgeDuplicate(
  holder: Holder,
  policy: OnDuplicate,
  isNew: boolean,
): DuplicateVerdict {
  if (holder === 'nobody') return 'start';
  if (holder === 'dead host') return 'recover';
  if (policy === 'allow' && !isNew) return 'share';
  if (holder === 'silent') return 'wait';
  if (isNew || policy === 'reject') return 'busy';
  if (holder === 'unproven' || holder === 'out of reach') return 'busy';
  if (holder === 'us') return 'end ours';
  return policy === 'takeover' ? 'end theirs' : 'busy';
}
