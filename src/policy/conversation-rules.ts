import * as z from 'zod/mini';

/**
 * The policy for a request whose conversation has a live agent already.
 *
 * `wait`: it starts when that agent and all who waited before it are done.
 */
export type OnDuplicate = 'replace' | 'takeover' | 'reject' | 'allow' | 'wait';

/** @internal */
export const onDuplicate = z.lazy(() => z.enum(['replace', 'takeover', 'reject', 'allow', 'wait']));

/** @internal */
export const conversationOptions = z.lazy(() =>
  z.prefault(
    z.strictObject({
      onDuplicate: z._default(onDuplicate, 'replace'),
      observeCli: z._default(z.boolean(), true),
    }),
    {},
  ),
);

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
  // What waits asks only when it is free: this is an agent that runs already.
  if (isNew || policy === 'reject' || policy === 'wait') return 'busy';
  if (holder === 'unproven' || holder === 'out of reach') return 'busy';
  if (holder === 'us') return 'end ours';
  return policy === 'takeover' ? 'end theirs' : 'busy';
}
