import { SupervisorError } from '../errors.ts';
import type { Emit } from '../events.ts';
import { type Clock, sleep } from '../os/clock.ts';
import {
  type Agent,
  ConversationLease,
  type ConversationLocks,
  type ConversationRequest,
  describeObserved,
  type ObservedAgent,
} from './conversation-lease.ts';
import { judgeDuplicate } from './conversation-rules.ts';
import { type ConversationTurn, TurnQueue } from './conversation-turns.ts';
import { QueueEntry } from './queue-entry.ts';

/** Polling interval for a lock that its owner is about to release. */
const POLL_MS = 20;
/** Polling interval for a lock whose owner shows only every few seconds that it is alive. */
const SILENT_POLL_MS = 200;
/** Longest wait for an owner that is neither alive nor given up: a stopped host of this kernel. */
const SILENT_PATIENCE_MS = 75_000;

export interface ConversationsContext {
  readonly clock: Clock;
  readonly emit: Emit;
  /** Longest wait for another agent to exit. */
  readonly patienceMs: number;
  locks(): ConversationLocks;
}

/** Lets one agent at a time run each conversation; the next starts when the one before is dead. */
export class Conversations {
  readonly #context: ConversationsContext;
  readonly #conversations = new Map<string, Conversation>();

  constructor(context: ConversationsContext) {
    this.#context = context;
  }

  /**
   * Asks for a conversation. Returns the lease of a free one, a place in the queue, or a refusal.
   */
  ask(
    request: ConversationRequest,
  ): ConversationLease | QueueEntry<ConversationLease> | SupervisorError {
    return this.#conversation(request.key).ask(request);
  }

  /** Queues a request that waits its turn; `changed` is called when it may be able to take it. */
  queue(request: ConversationRequest, changed: () => void): ConversationTurn {
    return this.#conversation(request.key).queue(request, changed);
  }

  #conversation(key: string): Conversation {
    const known = this.#conversations.get(key);
    if (known !== undefined) return known;
    const conversation = new Conversation(key, this.#context, () =>
      this.#conversations.delete(key),
    );
    this.#conversations.set(key, conversation);
    return conversation;
  }

  /** Ends the agent that a request is to replace, if `isDue`: it holds that for which the request waits. */
  prepare(
    { key, policy, isNew, assertMayStart }: ConversationRequest,
    isDue: (agent: Agent) => boolean,
  ): void {
    if (judgeDuplicate('us', policy, isNew) !== 'end ours') return;
    try {
      assertMayStart();
    } catch {
      // The request is refused when its turn comes, if the reason still holds.
      return;
    }
    void this.#conversations.get(key)?.end(isDue);
  }
}

/** One conversation: the agent that runs it, and the requests for it. */
class Conversation {
  readonly #key: string;
  readonly #context: ConversationsContext;
  readonly #onUnused: () => void;
  /** The locks of the current registry. */
  #locks: ConversationLocks;
  /**
   * The registry that has our lock: a survivor may outlive the registry that it was started under.
   */
  #lockedIn: ConversationLocks | undefined;
  readonly #leases = new Set<ConversationLease>();
  readonly #waiting: ConversationEntry[] = [];
  readonly #turns: TurnQueue;
  #isUnused = false;
  #isAdmitting = false;
  /** Time at which the first request in the queue began to ask for another host's lock. */
  #askedAtMs: number | undefined;
  #givesUpAtMs: number | undefined;
  /** The owner whose agent we have ended, and who is about to release the lock. */
  #ended: string | undefined;

  constructor(key: string, context: ConversationsContext, onUnused: () => void) {
    this.#key = key;
    this.#context = context;
    this.#onUnused = onUnused;
    this.#locks = context.locks();
    this.#turns = new TurnQueue({
      key,
      clock: context.clock,
      locks: () => this.#locks,
      hasAgent: () => this.#leases.size > 0 || this.#waiting.length > 0,
      take: (request) => this.#takeFor(request),
      left: () => this.#leaveUnused(),
    });
  }

  queue(request: ConversationRequest, changed: () => void): ConversationTurn {
    this.#locks = this.#context.locks();
    return this.#turns.add(request, changed);
  }

  ask(
    request: ConversationRequest,
  ): ConversationLease | QueueEntry<ConversationLease> | SupervisorError {
    this.#locks = this.#context.locks();
    const entry = new ConversationEntry(request, () => {
      this.#drop(entry);
      this.#admit();
    });
    this.#waiting.push(entry);
    this.#admit();
    return entry.answer ?? entry;
  }

  end(isDue: (agent: Agent) => boolean): Promise<readonly unknown[]> {
    return Promise.all(Array.from(this.#leases, (lease) => lease.end(isDue)));
  }

  /** Handles the requests in order, until one has to wait for an exit. */
  #admit(): void {
    if (this.#isAdmitting) return;
    this.#isAdmitting = true;
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      const pause = this.#decide(first);
      if (pause === undefined) continue;
      void pause
        .catch((error) => this.#refuse(first, `it could not be looked after: ${String(error)}`))
        .then(() => {
          this.#isAdmitting = false;
          this.#admit();
        });
      return;
    }
    this.#isAdmitting = false;
    this.#leaveUnused();
  }

  /** Grants or refuses the request, or returns a promise of what it waits for. */
  #decide(entry: ConversationEntry): Promise<void> | undefined {
    if (this.#leases.size === 0) {
      if (!this.#lock(entry.request.id)) return this.#contend(entry);
      this.#grantUnlessObserved(entry);
      return undefined;
    }
    switch (judgeDuplicate('us', entry.request.policy, entry.request.isNew)) {
      case 'end ours':
        return this.#mayStart(entry) ? this.#endOurs(entry) : undefined;
      case 'share':
        this.#share(entry, 'this host');
        return undefined;
      default:
        this.#refuse(entry, 'this host runs it');
        return undefined;
    }
  }

  /** Grants a locked conversation, unless an agent that no supervisor has started runs it. */
  #grantUnlessObserved(entry: ConversationEntry): void {
    const { observe, policy, isNew } = entry.request;
    const seen = observe?.();
    if (seen === undefined) this.#grant(entry);
    else if (judgeDuplicate('out of reach', policy, isNew) === 'share')
      this.#share(entry, describeObserved(seen));
    else this.#refuse(entry, describeObserved(seen), seen);
  }

  /** Takes the conversation for a request that has waited; or returns the reason why it cannot. */
  #takeFor({ id, observe }: ConversationRequest): ConversationLease | string {
    if (!this.#lock(id)) return 'another host runs it';
    const seen = observe?.();
    if (seen === undefined) return this.#newLease();
    this.#unlock();
    return describeObserved(seen);
  }

  #unlock(): void {
    this.#lockedIn?.release(this.#key);
    this.#lockedIn = undefined;
  }

  #lock(id: string): boolean {
    if (this.#lockedIn === this.#locks && this.#locks.pass(this.#key, id)) return true;
    // The supervisor was stopped and started since: a lock counts as long as its owner's journal
    // does.
    this.#lockedIn?.release(this.#key);
    this.#lockedIn = this.#locks.take(this.#key, id) ? this.#locks : undefined;
    return this.#lockedIn !== undefined;
  }

  async #endOurs(entry: ConversationEntry): Promise<void> {
    const left = await this.end(() => this.#waiting.includes(entry));
    if (left.flat().length > 0) this.#refuse(entry, 'its older agent survived its end');
  }

  /** Deals with another host's lock, which may have been released a moment ago. */
  async #contend(entry: ConversationEntry): Promise<void> {
    const { clock, patienceMs } = this.#context;
    this.#askedAtMs ??= clock.monotonicMs();
    this.#givesUpAtMs ??= clock.running.monotonicMs() + patienceMs;
    const { holder, name } = await this.#locks.holder(this.#key, this.#askedAtMs);
    if (!this.#waiting.includes(entry)) return;
    const verdict = judgeDuplicate(holder, entry.request.policy, entry.request.isNew);
    if (verdict === 'share') this.#share(entry, name);
    else if (verdict === 'busy') this.#refuse(entry, `${name} runs it`);
    if (verdict === 'share' || verdict === 'busy' || verdict === 'start') return;
    if (verdict === 'wait') {
      // The patience with owners that end their agent begins when they do.
      this.#givesUpAtMs = undefined;
      if (clock.monotonicMs() - this.#askedAtMs >= SILENT_PATIENCE_MS) {
        this.#refuse(entry, `${name} runs it, and gives no sign of life or death`);
        return;
      }
      await sleep(SILENT_POLL_MS, clock.running);
      return;
    }
    // A host that has ended an agent waits longer for its lock, or in the end nobody would have an
    // agent.
    const moreMs = name === this.#ended ? patienceMs : 0;
    if (clock.running.monotonicMs() >= this.#givesUpAtMs + moreMs) {
      this.#refuse(entry, `${name} runs it, and did not end within ${patienceMs} ms`);
      return;
    }
    if (verdict === 'recover') await this.#locks.recover();
    else if (!this.#mayStart(entry)) return;
    else if (await this.#locks.takeOver(this.#key)) this.#ended = name;
    await sleep(POLL_MS, clock.running);
  }

  #mayStart(entry: ConversationEntry): boolean {
    try {
      entry.request.assertMayStart();
      return true;
    } catch (error) {
      this.#drop(entry);
      entry.refuse(error as SupervisorError);
      return false;
    }
  }

  #share(entry: ConversationEntry, name: string): void {
    const message = `Conversation "${this.#key}" has another live agent (${name}); both write to it.`;
    this.#context.emit('warning', { code: 'CONVERSATION_SHARED', message });
    this.#grant(entry);
  }

  #grant(entry: ConversationEntry): void {
    this.#drop(entry);
    entry.grant(this.#newLease());
  }

  #newLease(): ConversationLease {
    const lease = new ConversationLease(this.#key, () => {
      this.#leases.delete(lease);
      this.#admit();
    });
    this.#leases.add(lease);
    return lease;
  }

  #refuse(entry: ConversationEntry, reason: string, seen?: ObservedAgent): void {
    if (!this.#drop(entry)) return;
    const advice = entry.request.isNew
      ? 'Choose another id, or resume it without one.'
      : seen
        ? "End that session, pass onDuplicate: 'wait', or resume with forkSession."
        : "End that agent, pass onDuplicate: 'takeover', or resume with forkSession.";
    entry.refuse(
      new SupervisorError(
        'CONVERSATION_BUSY',
        `Conversation "${this.#key}" has a live agent already: ${reason}. Nothing was started. ${advice}`,
        { data: { conversationId: this.#key, reason, ...seen } },
      ),
    );
  }

  #drop(entry: ConversationEntry): boolean {
    const at = this.#waiting.indexOf(entry);
    if (at >= 0) this.#waiting.splice(at, 1);
    // Each request has its own times.
    if (at === 0) this.#askedAtMs = this.#givesUpAtMs = this.#ended = undefined;
    return at >= 0;
  }

  #leaveUnused(): void {
    if (this.#isUnused || this.#leases.size > 0 || this.#waiting.length > 0) return;
    this.#unlock();
    if (this.#turns.review()) return;
    // From now on another object may be created for the same key.
    this.#isUnused = true;
    this.#onUnused();
  }
}

/** A request in the queue of a conversation. */
class ConversationEntry extends QueueEntry<ConversationLease> {
  readonly request: ConversationRequest;
  readonly #onLeave: () => void;

  constructor(request: ConversationRequest, onLeave: () => void) {
    super();
    this.request = request;
    this.#onLeave = onLeave;
  }

  grant(lease: ConversationLease): void {
    this.settle(lease);
  }

  refuse(error: SupervisorError): void {
    this.settle(error);
  }

  override leave(): void {
    this.#onLeave();
  }
}
