import { SupervisorError } from '../errors.ts';
import type { Emit } from '../events.ts';
import type { Clock } from '../os/clock.ts';
import { type Holder, judgeDuplicate, type OnDuplicate } from './conversation-rules.ts';

/** How often a lock is looked at again that somebody else is about to give up. */
const POLL_MS = 20;
/** Polling interval for a lock whose owner shows only every few seconds that it is alive. */
const SILENT_POLL_MS = 200;
/** Longest wait for an owner that is neither alive nor given up: a stopped host of this kernel. */
const SILENT_PATIENCE_MS = 75_000;

/** The locks of conversations, as all hosts of the state directory see them. */
export interface ConversationLocks {
  /** Takes a conversation that nobody has for one of our records; `false` if somebody has it. */
  take(key: string, id: string): boolean;
  /** Hands our lock on to another record of ours; `false` if it is not ours any more. */
  pass(key: string, id: string): boolean;
  release(key: string): void;
  /**
   * Returns the owner of a lock and its name. For an owner out of reach only a sign of life after
   * `askedAtMs` counts.
   */
  holder(
    key: string,
    askedAtMs: number,
  ): Promise<{ readonly holder: Holder; readonly name: string }>;
  /** Ends what a dead owner left, its locks last. */
  recover(): Promise<void>;
  /** Ends a live owner's agent, which then gives its lock up; says whether it is dead. */
  takeOver(key: string): Promise<boolean>;
}

/** The parts of a running agent that its conversation uses. */
export interface Speaker {
  readonly holdsSlot: boolean;
  /** Ends the agent with its tree; resolves to the survivors. */
  endAsDuplicate(): Promise<readonly unknown[]>;
}

export interface ConversationsContext {
  readonly clock: Clock;
  readonly emit: Emit;
  /** Longest wait for another agent to exit. */
  readonly patienceMs: number;
  locks(): ConversationLocks;
}

/**
 * A request to run a conversation's agent. Exactly one of `granted` and `refused` is called, once.
 */
export interface TurnRequest {
  readonly key: string;
  /** The id of the record that will run it. */
  readonly id: string;
  readonly policy: OnDuplicate;
  readonly isNew: boolean;
  /** Throws if the start would be refused anyway: then no agent is ended for it. */
  assertMayStart(): void;
  granted(turn: Turn): void;
  refused(error: SupervisorError): void;
}

/** The right to run a conversation's agent, from its grant to its release. */
export class Turn {
  readonly key: string;
  /** Resolves once the agent runs; to `undefined` if it never does. */
  readonly #attached = Promise.withResolvers<Speaker | undefined>();
  readonly #over = Promise.withResolvers<void>();
  readonly #onRelease: (turn: Turn) => void;

  constructor(key: string, onRelease: (turn: Turn) => void) {
    this.key = key;
    this.#onRelease = onRelease;
  }

  /** Records that the agent runs. */
  attach(speaker: Speaker): void {
    this.#attached.resolve(speaker);
  }

  /**
   * Ends the agent as soon as it runs, if `isDue` is then true. Resolves to the survivors, or when
   * the right is released.
   */
  async end(isDue: (speaker: Speaker) => boolean): Promise<readonly unknown[]> {
    const speaker = await this.#attached.promise;
    if (speaker === undefined || !isDue(speaker)) return [];
    const survivors = await speaker.endAsDuplicate();
    if (survivors.length === 0) await this.#over.promise;
    return survivors;
  }

  /** Called when the agent and its whole tree are dead, or were never started. */
  release(): void {
    this.#onRelease(this);
    this.#attached.resolve(undefined);
    this.#over.resolve();
  }
}

/** Lets one agent at a time run each conversation; the next starts when the one before is dead. */
export class Conversations {
  readonly #context: ConversationsContext;
  readonly #conversations = new Map<string, Conversation>();

  constructor(context: ConversationsContext) {
    this.#context = context;
  }

  /**
   * Asks for a conversation; a free one is granted before this returns. Returns a function that
   * withdraws the request.
   */
  request(request: TurnRequest): () => void {
    const { key } = request;
    let conversation = this.#conversations.get(key);
    if (conversation === undefined) {
      conversation = new Conversation(key, this.#context, () => this.#conversations.delete(key));
      this.#conversations.set(key, conversation);
    }
    return conversation.request(request);
  }

  /** Frees the slot that a request waits for, if the agent it is to replace holds that slot. */
  prepare(
    { key, policy, isNew, assertMayStart }: Omit<TurnRequest, 'granted' | 'refused'>,
    waits: () => boolean,
  ): void {
    if (judgeDuplicate('us', policy, isNew) !== 'end ours') return;
    try {
      assertMayStart();
    } catch {
      // The request is refused when its turn comes, if the reason still holds.
      return;
    }
    void this.#conversations.get(key)?.end(({ holdsSlot }) => holdsSlot && waits());
  }
}

/** One conversation: the agent that runs it, and the requests for it. */
class Conversation {
  readonly #key: string;
  readonly #context: ConversationsContext;
  readonly #onUnused: () => void;
  /** Those of our registry as it is. */
  #locks: ConversationLocks;
  /** Where our lock lies: a survivor may outlive the registry that it was started under. */
  #lockedIn: ConversationLocks | undefined;
  readonly #turns = new Set<Turn>();
  readonly #waiting: TurnRequest[] = [];
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
  }

  request(request: TurnRequest): () => void {
    this.#locks = this.#context.locks();
    this.#waiting.push(request);
    this.#admit();
    return () => {
      this.#drop(request);
      this.#admit();
    };
  }

  end(isDue: (speaker: Speaker) => boolean): Promise<readonly unknown[]> {
    return Promise.all(Array.from(this.#turns, (turn) => turn.end(isDue)));
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
  #decide(request: TurnRequest): Promise<void> | undefined {
    if (this.#turns.size === 0) {
      if (!this.#lock(request.id)) return this.#contend(request);
      this.#grant(request);
      return undefined;
    }
    switch (judgeDuplicate('us', request.policy, request.isNew)) {
      case 'end ours':
        return this.#mayStart(request) ? this.#endOurs(request) : undefined;
      case 'share':
        this.#share(request, 'this host');
        return undefined;
      default:
        this.#refuse(request, 'this host runs it');
        return undefined;
    }
  }

  #lock(id: string): boolean {
    if (this.#lockedIn === this.#locks && this.#locks.pass(this.#key, id)) return true;
    // We have been stopped and started since: a lock counts as long as its owner's journal does.
    this.#lockedIn?.release(this.#key);
    this.#lockedIn = this.#locks.take(this.#key, id) ? this.#locks : undefined;
    return this.#lockedIn !== undefined;
  }

  async #endOurs(request: TurnRequest): Promise<void> {
    const left = await this.end(() => this.#waiting.includes(request));
    if (left.flat().length > 0) this.#refuse(request, 'its older agent survived its end');
  }

  /** Somebody else has the lock, or had it a moment ago. */
  async #contend(request: TurnRequest): Promise<void> {
    const { clock, patienceMs } = this.#context;
    this.#askedAtMs ??= clock.monotonicMs();
    this.#givesUpAtMs ??= clock.running.monotonicMs() + patienceMs;
    const { holder, name } = await this.#locks.holder(this.#key, this.#askedAtMs);
    if (!this.#waiting.includes(request)) return;
    const verdict = judgeDuplicate(holder, request.policy, request.isNew);
    if (verdict === 'share') this.#share(request, name);
    else if (verdict === 'busy') this.#refuse(request, `${name} runs it`);
    if (verdict === 'share' || verdict === 'busy' || verdict === 'start') return;
    if (verdict === 'wait') {
      // The patience with owners that end their agent begins when they do.
      this.#givesUpAtMs = undefined;
      if (clock.monotonicMs() - this.#askedAtMs >= SILENT_PATIENCE_MS) {
        this.#refuse(request, `${name} runs it, and gives no sign of life or death`);
        return;
      }
      await this.#sleep(SILENT_POLL_MS);
      return;
    }
    // Whoever has ended an agent waits for its lock, or in the end nobody would have an agent.
    const moreMs = name === this.#ended ? patienceMs : 0;
    if (clock.running.monotonicMs() >= this.#givesUpAtMs + moreMs) {
      this.#refuse(request, `${name} runs it, and did not end within ${patienceMs} ms`);
      return;
    }
    if (verdict === 'recover') await this.#locks.recover();
    else if (!this.#mayStart(request)) return;
    else if (await this.#locks.takeOver(this.#key)) this.#ended = name;
    await this.#sleep(POLL_MS);
  }

  #sleep(ms: number): Promise<void> {
    const { running } = this.#context.clock;
    return new Promise((resolve) => void running.after(ms, resolve, { keepAlive: true }));
  }

  #mayStart(request: TurnRequest): boolean {
    try {
      request.assertMayStart();
      return true;
    } catch (error) {
      this.#drop(request);
      request.refused(error as SupervisorError);
      return false;
    }
  }

  #share(request: TurnRequest, name: string): void {
    const message = `Conversation "${this.#key}" has another live agent (${name}); both write to it.`;
    this.#context.emit('warning', { code: 'CONVERSATION_SHARED', message });
    this.#grant(request);
  }

  #grant(request: TurnRequest): void {
    this.#drop(request);
    const turn = new Turn(this.#key, () => {
      this.#turns.delete(turn);
      this.#admit();
    });
    this.#turns.add(turn);
    request.granted(turn);
  }

  #refuse(request: TurnRequest, reason: string): void {
    if (!this.#drop(request)) return;
    const advice = request.isNew
      ? 'Choose another id, or resume it without one.'
      : "End that agent, pass onDuplicate: 'takeover', or resume with forkSession.";
    request.refused(
      new SupervisorError(
        'CONVERSATION_BUSY',
        `Conversation "${this.#key}" has a live agent already: ${reason}. Nothing was started. ${advice}`,
        { data: { conversationId: this.#key, reason } },
      ),
    );
  }

  #drop(request: TurnRequest): boolean {
    const at = this.#waiting.indexOf(request);
    if (at >= 0) this.#waiting.splice(at, 1);
    // Each request has its own times.
    if (at === 0) this.#askedAtMs = this.#givesUpAtMs = this.#ended = undefined;
    return at >= 0;
  }

  #leaveUnused(): void {
    if (this.#isUnused || this.#turns.size > 0 || this.#waiting.length > 0) return;
    // From now on another object may be created for the same key.
    this.#isUnused = true;
    this.#lockedIn?.release(this.#key);
    this.#lockedIn = undefined;
    this.#onUnused();
  }
}
