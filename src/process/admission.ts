import type { Registry } from '../containment/registry.ts';
import { SupervisorError } from '../errors.ts';
import { type Budget, mergeBudgets } from '../policy/budget.ts';
import { conversationOf } from '../policy/conversation-rules.ts';
import type { Pool, Slot } from '../policy/pool.ts';
import type { Session } from '../policy/session.ts';
import { assertDepth } from '../policy/spawn-rate.ts';
import type { LiveProcess } from './managed-process.ts';
import type { Admission, QueueContext, TurnWish } from './queue.ts';
import type { Passage } from './supervision.ts';

/** For who has a slot already. */
export function ownPool(slot: Slot): QueueContext['pool'] {
  const request: Pool['request'] = (request) => {
    request.granted(slot);
    return { request, refuse: () => undefined };
  };
  return { request, waiting: new Set() };
}

/** Begins the session, or goes on with it if it has not lasted too long. */
export function enterSession({ request, sessions, registry }: Passage): Session | undefined {
  const { sessionId, maxWallClockMs } = request;
  if (sessionId === undefined) return undefined;
  registry();
  const session = sessions.enter(sessionId, maxWallClockMs);
  session.assertOpen();
  return session;
}

export function wishOf(passage: Passage): TurnWish | undefined {
  const { request, dialect, handle, options, registry } = passage;
  const args = dialect.isClaude ? request.args : undefined;
  const { key, isNew } = conversationOf(args ?? [], request.conversationId);
  const policy = request.onDuplicate ?? options.conversation.onDuplicate;
  const assertMayStart = () => assertAllowed(passage, registry());
  return key === undefined ? undefined : { key, id: handle.id, policy, isNew, assertMayStart };
}

/**
 * The agent itself has said which conversation it runs: a new one, a fork, or one that its arguments do
 * not name. It runs already, so what finds the conversation taken can only be ended.
 */
export function learnConversation(
  { conversations, handle, request, options }: Passage,
  admission: Admission,
  live: LiveProcess,
  sessionId: string,
): void {
  const key = sessionId.toLowerCase();
  // One that has survived its end may be heard of when nothing may be claimed any more.
  if (handle.over || live.survived || admission.turns.some((turn) => turn.key === key)) return;
  const giveUp = conversations.request({
    key,
    id: handle.id,
    policy: request.onDuplicate ?? options.conversation.onDuplicate,
    isNew: false,
    assertMayStart: () => undefined,
    granted(turn) {
      turn.attach(live);
      admission.turns.push(turn);
    },
    refused: (error) => void live.end('duplicate', {}, error.message),
  });
  handle.once('exit', giveUp);
}

/** Whether another host has ended our agent, to run its conversation itself. */
export function wasTakenOver(
  admission: Admission | undefined,
  { conversationLocks }: Registry,
  id: string,
): boolean {
  return admission?.turns.some(({ key }) => conversationLocks.wasTakenOver(key, id)) ?? false;
}

export function budgetOf({ options, request }: Pick<Passage, 'options' | 'request'>): Budget {
  return mergeBudgets(options.budget, request.budget);
}

/** What forbids a start whatever else is alive; it may have changed while it waited. */
function assertAllowed(passage: Passage, { depth }: Registry): void {
  const { options, rate, request, session, spending } = passage;
  if (request.signal?.aborted) {
    throw new SupervisorError(
      'ABORTED',
      'The request was aborted before its start; nothing was started.',
      { cause: request.signal.reason },
    );
  }
  session?.assertOpen();
  assertDepth(depth, options.maxDepth);
  spending.assertWithin(budgetOf(passage), request.sessionId);
  rate?.assertFree(request.sessionId);
}

export function assertMayStart(passage: Passage, registry: Registry): void {
  assertAllowed(passage, registry);
  const { live, options, request } = passage;
  const { hardCap } = options.pool;
  const alive = [...live.values()].filter((other) => other.countsToCap).length;
  if (alive >= hardCap && !request.outlivesHost)
    throw new SupervisorError(
      'HARD_CAP',
      `${alive} processes are alive, and pool.hardCap is ${hardCap}. End some (supervisor.list() names them), or raise pool.hardCap.`,
      { data: { alive, hardCap } },
    );
}
