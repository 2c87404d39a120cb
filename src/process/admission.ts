import type { UsageLimit } from '../claude-code/usage-limit.ts';
import type { Registry } from '../containment/registry.ts';
import { isSupervisorError, SupervisorError } from '../errors.ts';
import type { Clock } from '../os/clock.ts';
import { type Budget, mergeBudgets, type Spending } from '../policy/budget.ts';
import type { Condition } from '../policy/condition.ts';
import {
  ConversationLease,
  type ConversationRequest,
  type ObservedAgent,
} from '../policy/conversation-lease.ts';
import type { OnDuplicate } from '../policy/conversation-rules.ts';
import type { Conversations } from '../policy/conversations.ts';
import type { Pool } from '../policy/pool.ts';
import { QueueEntry } from '../policy/queue-entry.ts';
import type { Session, Sessions } from '../policy/session.ts';
import { Slot } from '../policy/slot.ts';
import { assertDepth, type SpawnRate } from '../policy/spawn-rate.ts';
import type { WaitsFor } from '../reports.ts';
import { HardCap, type HardCapParts } from './hard-cap.ts';
import { type ManagedProcess, takenBack } from './managed-process.ts';
import type { CheckedRequest } from './request.ts';

/** The longest window of a plan is a week. */
const LONGEST_USAGE_LIMIT_MS = 8 * 86_400_000;
/** Pause for a usage limit of which nobody knows when it resets. */
const UNKNOWN_USAGE_LIMIT_MS = 300_000;

/** A place in the queue for a slot, or for a conversation. */
export type Place = QueueEntry<Slot> | QueueEntry<ConversationLease>;

/** An answer to a request: the process's slot, a place in a queue, or the error that refuses it. */
export type Answer = Slot | Place | SupervisorError;

export interface AdmissionParts extends HardCapParts {
  readonly clock: Pick<Clock, 'now'>;
  readonly options: HardCapParts['options'] & {
    readonly maxDepth: number;
    readonly conversation: { readonly onDuplicate: OnDuplicate; readonly observeCli: boolean };
    readonly budget: Budget;
  };
  readonly pool: Pool;
  readonly sessions: Sessions;
  readonly conversations: Conversations;
  readonly spending: Spending;
  /** `undefined` without a limit. */
  readonly rate: SpawnRate | undefined;
  /** Returns the registry, opened at first use; throws while no process may start. */
  registry(): Registry;
  /** Finds a living agent that no supervisor has started and that runs a conversation. */
  observe(key: string, env: CheckedRequest['env']): ObservedAgent | undefined;
}

/** Decides whether a process may start: at its request, and again in the tick of its start. */
export class Admission {
  readonly pool: Pool;
  readonly sessions: Sessions;
  readonly conversations: Conversations;
  readonly spending: Spending;
  rate: SpawnRate | undefined;
  /** The condition of a lease: room for one more process below the hard cap, kept while the lease lies unused. */
  readonly roomForLease: Condition;
  readonly #hardCap: HardCap;
  readonly #parts: AdmissionParts;

  constructor(parts: AdmissionParts) {
    this.#parts = parts;
    const hardCap = new HardCap(parts);
    this.#hardCap = hardCap;
    this.roomForLease = {
      take: () => hardCap.lackFor() === undefined,
      get lack() {
        return hardCap.lackFor();
      },
    };
    this.pool = parts.pool;
    this.sessions = parts.sessions;
    this.conversations = parts.conversations;
    this.spending = parts.spending;
    this.rate = parts.rate;
  }

  /** Asks for the conversation and for a slot, unless the process has one already. */
  ask(p: ManagedProcess): Answer {
    try {
      p.session = this.#enterSession(p);
      p.conversation = this.#conversationOf(p);
      p.condition = this.#conditionOf(p);
      const slot = this.#askForSlot(p);
      if (slot instanceof Slot) return this.askForConversation(p, slot);
      return slot instanceof SupervisorError ? this.#refused(p, slot) : slot;
    } catch (error) {
      return refusalFor(error);
    }
  }

  /** Asks for the conversation of a process that has its slot. */
  askForConversation(p: ManagedProcess, slot: Slot): Answer {
    p.slot = slot;
    const { conversation, request, turn } = p;
    // A turn has taken the conversation together with the slot.
    if (conversation === undefined || turn !== undefined) return p.slot;
    // An aborted request must not end another agent: a lease's own slot is granted even after an abort.
    if (request.signal?.aborted) return this.#refused(p, takenBack());
    const answer = this.conversations.ask(conversation);
    if (answer instanceof SupervisorError) return this.#refused(p, answer);
    return answer instanceof ConversationLease ? this.conversationGranted(p, answer) : answer;
  }

  conversationGranted(p: ManagedProcess, lease: ConversationLease): Slot {
    p.leases.push(lease);
    return p.slot as Slot;
  }

  /** Number of live processes that `pool.hardCap` counts. */
  get countedByCap(): number {
    return this.#hardCap.counted;
  }

  /** Explains in a clause why a request still waits that has its slot. */
  whyWaiting({ conversation }: ManagedProcess): string {
    if (conversation === undefined) return 'its input has ended, which may be a cancel';
    return `the agent that runs its conversation "${conversation.key}" has to end first`;
  }

  /** Checks again the conditions that may have changed while it waited; call it in the tick of the start. */
  recheck(p: ManagedProcess): SupervisorError | undefined {
    try {
      this.#assertMayStart(p);
      this.#hardCap.assertRoomFor(p);
      return undefined;
    } catch (error) {
      return refusalFor(error);
    }
  }

  /** Counts a start; call it before any code of the host runs, which may start more processes. */
  count(p: ManagedProcess): void {
    this.rate?.count(p.request.sessionId);
  }

  /** Pauses the pool until the usage limit of an agent's account resets. */
  readonly pauseFor = ({ type, resetsAt = 0 }: UsageLimit): void => {
    const now = this.#parts.clock.now();
    // Without a time of its own, or with one that cannot be right.
    const isSensible = resetsAt > now && resetsAt <= now + LONGEST_USAGE_LIMIT_MS;
    const until = isSensible ? resetsAt : now + UNKNOWN_USAGE_LIMIT_MS;
    this.pool.pauseAtLeast(`usage limit${type === undefined ? '' : ` (${type})`}`, until);
  };

  budgetOf({ request }: ManagedProcess): Budget {
    return mergeBudgets(this.#parts.options.budget, request.budget);
  }

  /**
   * Asks for the conversation that a running agent has named itself.
   *
   * That is a new one, a fork, or one that its arguments do not name. The agent runs already, so if the
   * conversation is taken, the agent can only be ended.
   */
  learnConversation(p: ManagedProcess, sessionId: string): void {
    const key = sessionId.toLowerCase();
    // A survivor may name its conversation when locks can no longer be taken.
    if (!p.running() || p.survived || p.leases.some((lease) => lease.key === key)) return;
    const take = (answer: ConversationLease | SupervisorError): void => {
      if (answer instanceof SupervisorError) {
        void p.end('duplicate', {}, answer.message);
        return;
      }
      answer.attach(p);
      p.leases.push(answer);
    };
    const answer = this.conversations.ask({
      key,
      id: p.id,
      policy: this.#policyOf(p),
      isNew: false,
      assertMayStart: () => undefined,
      observe: () => this.#observe(p, key),
    });
    if (!(answer instanceof QueueEntry)) {
      take(answer);
      return;
    }
    answer.onAnswer(take);
    p.handle.once('exit', () => answer.leave());
  }

  /** Begins the session, or continues it if its wall-clock limit is not exceeded. */
  #enterSession({ request: { sessionId, maxWallClockMs } }: ManagedProcess): Session | undefined {
    if (sessionId === undefined) return undefined;
    this.#parts.registry();
    const session = this.sessions.enter(sessionId, maxWallClockMs);
    session.assertOpen();
    return session;
  }

  #conversationOf(p: ManagedProcess): ConversationRequest | undefined {
    const { conversationId, isNewConversation = false } = p.request;
    if (conversationId === undefined) return undefined;
    return {
      key: conversationId.toLowerCase(),
      id: p.id,
      policy: this.#policyOf(p),
      isNew: isNewConversation,
      assertMayStart: () => this.#assertMayStart(p),
      observe: () => this.#observe(p, conversationId.toLowerCase()),
    };
  }

  /** Only what a hook starts is known to be an agent that records its sessions. */
  #observe({ request }: ManagedProcess, key: string): ObservedAgent | undefined {
    const { options, observe } = this.#parts;
    if (!options.conversation.observeCli || request.output !== 'stream-json') return undefined;
    return observe(key, request.env);
  }

  #policyOf({ request }: ManagedProcess): OnDuplicate {
    return request.onDuplicate ?? this.#parts.options.conversation.onDuplicate;
  }

  #askForSlot(p: ManagedProcess): Slot | Place | SupervisorError {
    const { sessionId, keys, kind, priority, signal, queueTimeoutMs: timeoutMs } = p.request;
    const { conversation, condition, turn, holdsSlot: needsSlot, slot: held } = p;
    const atHead =
      conversation && turn === undefined
        ? (waitsFor: WaitsFor) =>
            this.conversations.prepare(conversation, (agent) => {
              return p.state === 'queued' && agent.holds(waitsFor);
            })
        : undefined;
    return this.pool.ask({
      ...{ id: p.id, sessionId, needsSlot, keys, kind, held, priority },
      ...{ timeoutMs, signal, atHead, condition },
    });
  }

  /** The needs of a request beside its slot: its turn, and perhaps room below the hard cap. */
  #conditionOf(p: ManagedProcess): Condition | undefined {
    const { conversation, request } = p;
    if (conversation?.policy === 'wait' && !conversation.isNew)
      p.turn = this.conversations.queue(conversation, () => this.pool.review());
    const { turn } = p;
    const lackOfRoom = () => (request.waitsForCap ? this.#hardCap.lackFor(p) : undefined);
    if (turn === undefined && !request.waitsForCap) return undefined;
    return {
      take: () => {
        if (lackOfRoom() !== undefined) return false;
        const lease = turn?.take();
        if (turn !== undefined && lease === undefined) return false;
        if (lease !== undefined) p.leases.push(lease);
        if (request.waitsForCap) this.#hardCap.reserve(p);
        return true;
      },
      get lack() {
        return turn?.lack ?? lackOfRoom();
      },
    };
  }

  /** Attributes a refusal after an abort to the caller, who took the request back. */
  #refused(p: ManagedProcess, error: SupervisorError): SupervisorError {
    if (p.request.signal?.aborted) p.takenBackBy ??= 'SIGTERM';
    return error;
  }

  /** Checks all conditions of a start that do not depend on the number of live processes. */
  #assertMayStart({ request, session }: ManagedProcess): void {
    const { options, registry } = this.#parts;
    const { depth } = registry();
    const { signal, sessionId } = request;
    if (signal?.aborted) {
      const message = 'The request was aborted before its start; nothing was started.';
      throw new SupervisorError('ABORTED', message, { cause: signal.reason });
    }
    session?.assertOpen();
    assertDepth(depth, options.maxDepth);
    this.spending.assertWithin(mergeBudgets(options.budget, request.budget), sessionId);
    this.rate?.assertFree(sessionId);
  }
}

/** Turns any reason that prevented a start into a `SupervisorError`. */
export function refusalFor(reason: unknown): SupervisorError {
  if (isSupervisorError(reason)) return reason;
  const message = `The process could not be started: ${String(reason)}`;
  return new SupervisorError('SPAWN_FAILED', message, { cause: reason });
}
