import * as z from 'zod/mini';

/** What becomes of a request for a conversation that has a live agent. */
export type OnDuplicate = 'replace' | 'takeover' | 'reject' | 'allow';

/** @internal */
export const onDuplicate = z.lazy(() => z.enum(['replace', 'takeover', 'reject', 'allow']));

/** @internal */
export const conversationOptions = z.lazy(() =>
  z.prefault(z.strictObject({ onDuplicate: z._default(onDuplicate, 'replace') }), {}),
);

/**
 * Who runs a conversation's agent at this moment. One that is out of reach lives, and nobody here can end
 * it; one that is silent has given no sign of life yet, and is given up if it gives none.
 */
export type Holder =
  | 'nobody'
  | 'us'
  | 'another'
  | 'the dead'
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

/** Decides what a request does about the agent that runs its conversation. */
export function judgeDuplicate(
  holder: Holder,
  policy: OnDuplicate,
  isNew: boolean,
): DuplicateVerdict {
  if (holder === 'nobody') return 'start';
  if (holder === 'the dead') return 'recover';
  if (policy === 'allow' && !isNew) return 'share';
  if (holder === 'silent') return 'wait';
  if (isNew || policy === 'reject') return 'busy';
  if (holder === 'unproven' || holder === 'out of reach') return 'busy';
  if (holder === 'us') return 'end ours';
  return policy === 'takeover' ? 'end theirs' : 'busy';
}
