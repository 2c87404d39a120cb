import { SupervisorError } from '../errors.ts';
import type { Emit } from '../events.ts';
import { type Clock, sleep } from '../os/clock.ts';
import { type Holder, judgeDuplicate, type OnDuplicate } from './conversation-rules.ts';
import { QueueEntry } from './queue-entry.ts';
import type { RunningProcess } from './running-process.ts';

/** How often a claim is looked at again that somebody else is about to give up. */
const POLL_MS = 20;
/** The same for one whose owner shows only every few seconds whether it lives. */
const SILENT_POLL_MS = 200;
/** How long one is waited for that neither shows itself nor is given up: a stopped host of this kernel. */
const SILENT_PATIENCE_MS = 75_000;

/** The claims on conversations, as all hosts of the state directory see them. */
export interface Claims {
  /** Takes a conversation that nobody has for one of our records; `false` if somebody has it. */
  take(key: string, id: string): boolean;
  /** Hands our claim on to another record of ours; `false` if it is not ours any more. */
  pass(key: string, id: string): boolean;
  release(key: string): void;
  /** Who has it, and how to name them; of one out of reach only a sign of life since then counts. */
  holder(
    key: string,
    askedAtMs: number,
  ): Promise<{ readonly holder: Holder; readonly name: string }>;
  /** Ends what a dead owner left, its claims last. */
  recover(): Promise<void>;
  /** Ends a live owner's agent, which gives its claim up then; says whether it is dead. */
  takeOver(key: string): Promise<boolean>;
}

export interface ConversationsContext {
  readonly clock: Clock;
  readonly emit: Emit;
  /** How long another's end may take. */
  readonly patienceMs: number;
  claims(): Claims;
}

/** A request to run a conversation's agent. */
export interface ConversationRequest {
  readonly key: string;
  /** Of the record that will run it. */
  readonly id: string;
  readonly policy: OnDuplicate;
  readonly isNew: boolean;
  /** Throws what would refuse its start anyway: nobody is ended for that. */
  assertMayStart(): void;
}

type Agent = Pick<RunningProcess, 'holdsSlot' | 'end'>;

/** The right to run a conversation's agent, from its grant to its release. */
export class ConversationLease {
  readonly key: string;
  /** Resolves once the agent runs; to nobody if it never does. */
  readonly #attached = Promise.withResolvers<Agent | undefined>();
  readonly #over = Promise.withResolvers<void>();
  readonly #onRelease: (lease: ConversationLease) => void;

  constructor(key: string, onRelease: (lease: ConversationLease) => void) {
    this.key = key;
    this.#onRelease = onRelease;
  }

  /** The agent runs. */
  attach(agent: Agent): void {
    this.#attached.resolve(agent);
  }

  /** Ends its agent as soon as it runs, if it `isDue` then; resolves to who survived, or when the lease is over. */
  async end(isDue: (agent: Agent) => boolean): Promise<readonly unknown[]> {
    const agent = await this.#attached.promise;
    if (agent === undefined || !isDue(agent)) return [];
    const reason = 'another request resumes its conversation';
    const { survivors } = await agent.end('duplicate', {}, reason);
    if (survivors.length === 0) await this.#over.promise;
    return survivors;
  }

  /** Its agent and the whole tree of it are dead, or were never started. */
  release(): void {
    this.#onRelease(this);
    this.#attached.resolve(undefined);
    this.#over.resolve();
  }
}

/** Lets one agent at a time run each conversation: one after the other, each when the one before is dead. */
export class Conversations {
  readonly #context: ConversationsContext;
  readonly #conversations = new Map<string, Conversation>();

  constructor(context: ConversationsContext) {
    this.#context = context;
  }

  /** Asks for a conversation: the lease of one that nobody has, a place in the queue, or a refusal. */
  ask(
    request: ConversationRequest,
  ): ConversationLease | QueueEntry<ConversationLease> | SupervisorError {
    const { key } = request;
    let conversation = this.#conversations.get(key);
    if (conversation === undefined) {
      conversation = new Conversation(key, this.#context, () => this.#conversations.delete(key));
      this.#conversations.set(key, conversation);
    }
    return conversation.ask(request);
  }

  /** Frees the slot that a request waits for, if the agent that it is to replace holds it. */
  prepare({ key, policy, isNew, assertMayStart }: ConversationRequest, waits: () => boolean): void {
    if (judgeDuplicate('us', policy, isNew) !== 'end ours') return;
    try {
      assertMayStart();
    } catch {
      // It is told when its turn comes, if that is still so.
      return;
    }
    void this.#conversations.get(key)?.end(({ holdsSlot }) => holdsSlot && waits());
  }
}

/** One conversation: who runs its agent, and who wants to. */
class Conversation {
  readonly #key: string;
  readonly #context: ConversationsContext;
  readonly #onUnused: () => void;
  /** Those of our registry as it is. */
  #claims: Claims;
  /** Where our claim lies: a survivor may outlive the registry that it was started under. */
  #claimedIn: Claims | undefined;
  readonly #leases = new Set<ConversationLease>();
  readonly #waiting: ConversationEntry[] = [];
  #isUnused = false;
  #isAdmitting = false;
  /** When the first of those who wait began to ask whether somebody else has it. */
  #askedAtMs: number | undefined;
  #givesUpAtMs: number | undefined;
  /** Whom we have ended, and who is about to give the conversation up. */
  #ended: string | undefined;

  constructor(key: string, context: ConversationsContext, onUnused: () => void) {
    this.#key = key;
    this.#context = context;
    this.#onUnused = onUnused;
    this.#claims = context.claims();
  }

  ask(
    request: ConversationRequest,
  ): ConversationLease | QueueEntry<ConversationLease> | SupervisorError {
    this.#claims = this.#context.claims();
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

  /** Goes through those who wait, in order, until one has to wait for somebody's death. */
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

  /** Grants or refuses the request, or says what it waits for. */
  #decide(entry: ConversationEntry): Promise<void> | undefined {
    if (this.#leases.size === 0) {
      if (!this.#claim(entry.request.id)) return this.#contend(entry);
      this.#grant(entry);
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

  #claim(id: string): boolean {
    if (this.#claimedIn === this.#claims && this.#claims.pass(this.#key, id)) return true;
    // We have been stopped and started since: a claim counts as long as its owner's journal does.
    this.#claimedIn?.release(this.#key);
    this.#claimedIn = this.#claims.take(this.#key, id) ? this.#claims : undefined;
    return this.#claimedIn !== undefined;
  }

  async #endOurs(entry: ConversationEntry): Promise<void> {
    const left = await this.end(() => this.#waiting.includes(entry));
    if (left.flat().length > 0) this.#refuse(entry, 'its older agent survived its end');
  }

  /** Somebody else has the claim, or had it a moment ago. */
  async #contend(entry: ConversationEntry): Promise<void> {
    const { clock, patienceMs } = this.#context;
    this.#askedAtMs ??= clock.monotonicMs();
    this.#givesUpAtMs ??= clock.running.monotonicMs() + patienceMs;
    const { holder, name } = await this.#claims.holder(this.#key, this.#askedAtMs);
    if (!this.#waiting.includes(entry)) return;
    const verdict = judgeDuplicate(holder, entry.request.policy, entry.request.isNew);
    if (verdict === 'share') this.#share(entry, name);
    else if (verdict === 'busy') this.#refuse(entry, `${name} runs it`);
    if (verdict === 'share' || verdict === 'busy' || verdict === 'start') return;
    if (verdict === 'wait') {
      // Our patience with those who end begins when they do.
      this.#givesUpAtMs = undefined;
      if (clock.monotonicMs() - this.#askedAtMs >= SILENT_PATIENCE_MS) {
        this.#refuse(entry, `${name} runs it, and gives no sign of life or death`);
        return;
      }
      await sleep(SILENT_POLL_MS, clock.running);
      return;
    }
    // Whoever has ended an agent waits for its claim, or in the end nobody would have an agent.
    const moreMs = name === this.#ended ? patienceMs : 0;
    if (clock.running.monotonicMs() >= this.#givesUpAtMs + moreMs) {
      this.#refuse(entry, `${name} runs it, and did not end within ${patienceMs} ms`);
      return;
    }
    if (verdict === 'recover') await this.#claims.recover();
    else if (!this.#mayStart(entry)) return;
    else if (await this.#claims.takeOver(this.#key)) this.#ended = name;
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
    const lease = new ConversationLease(this.#key, () => {
      this.#leases.delete(lease);
      this.#admit();
    });
    this.#leases.add(lease);
    entry.grant(lease);
  }

  #refuse(entry: ConversationEntry, reason: string): void {
    if (!this.#drop(entry)) return;
    const advice = entry.request.isNew
      ? 'Choose another id, or resume it without one.'
      : "End that agent, pass onDuplicate: 'takeover', or resume with forkSession.";
    entry.refuse(
      new SupervisorError(
        'CONVERSATION_BUSY',
        `Conversation "${this.#key}" has a live agent already: ${reason}. Nothing was started. ${advice}`,
        { data: { conversationId: this.#key, reason } },
      ),
    );
  }

  #drop(entry: ConversationEntry): boolean {
    const at = this.#waiting.indexOf(entry);
    if (at >= 0) this.#waiting.splice(at, 1);
    // Each has its own time.
    if (at === 0) this.#askedAtMs = this.#givesUpAtMs = this.#ended = undefined;
    return at >= 0;
  }

  #leaveUnused(): void {
    if (this.#isUnused || this.#leases.size > 0 || this.#waiting.length > 0) return;
    // Another one may be made for the same key from now on.
    this.#isUnused = true;
    this.#claimedIn?.release(this.#key);
    this.#claimedIn = undefined;
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
