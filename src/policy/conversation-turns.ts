import { type Clock, sleep } from '../os/clock.ts';
import {
  type ConversationLease,
  type ConversationLocks,
  type ConversationRequest,
  describeObserved,
} from './conversation-lease.ts';

/** Polling interval for a conversation that another host runs. */
const POLL_MS = 200;
/** Time for which a free conversation is left to a host that has waited for it longer. */
const PRECEDENCE_MS = 1000;

/** The conversation that requests wait for. */
export interface TurnContext {
  readonly key: string;
  readonly clock: Clock;
  locks(): ConversationLocks;
  /** True if an agent of this host runs the conversation, or is about to. */
  hasAgent(): boolean;
  /** Takes the conversation, or returns the reason why it cannot be had. */
  take(request: ConversationRequest): ConversationLease | string;
  /** A request has left the queue. */
  left(): void;
}

/** The requests of this host that wait for one conversation, in order; they hold nothing. */
export class TurnQueue {
  readonly #context: TurnContext;
  readonly #turns: ConversationTurn[] = [];
  /** The reason why this host cannot have the conversation; `undefined` if it is not known to. */
  #elsewhere: string | undefined;
  /** It was free for so long that no other host goes first. */
  #isOurs = false;
  #isWatching = false;
  /** The start of the longest wait that other hosts know of. */
  #announcedMs: number | undefined;

  constructor(context: TurnContext) {
    this.#context = context;
  }

  add(request: ConversationRequest, changed: () => void): ConversationTurn {
    const turn = new ConversationTurn(request, this.#context.clock.now(), {
      take: () => this.#take(turn),
      lack: () => this.#lackOf(turn),
      leave: () => this.#drop(turn) && this.#context.left(),
      changed,
    });
    this.#turns.push(turn);
    return turn;
  }

  /** Lets the first request look again, if there is one. */
  review(): boolean {
    const [first] = this.#turns;
    first?.changed();
    return first !== undefined;
  }

  #take(turn: ConversationTurn): ConversationLease | undefined {
    const lease = this.#lackOf(turn) === undefined ? this.#takeFirst(turn) : undefined;
    if (lease !== undefined) this.#drop(turn);
    else this.#announce();
    return lease;
  }

  #takeFirst({ request, sinceMs }: ConversationTurn): ConversationLease | undefined {
    const { key, locks, take } = this.#context;
    if (!this.#isOurs && locks().isPreceded(key, sinceMs))
      this.#elsewhere = 'another host has waited for it longer';
    else {
      const taken = take(request);
      this.#isOurs = false;
      if (typeof taken !== 'string') return taken;
      this.#elsewhere = taken;
    }
    void this.#watch();
    return undefined;
  }

  #lackOf(turn: ConversationTurn): string | undefined {
    const conversation = `conversation "${this.#context.key}"`;
    const before = this.#turns.indexOf(turn);
    if (before > 0) return `${before} requests of this host wait for ${conversation} before it`;
    if (this.#context.hasAgent()) return `an agent of this host runs ${conversation}`;
    return this.#elsewhere && `${conversation} is not free: ${this.#elsewhere}`;
  }

  #drop(turn: ConversationTurn): boolean {
    const at = this.#turns.indexOf(turn);
    if (at < 0) return false;
    this.#turns.splice(at, 1);
    this.#announce();
    if (at === 0) this.review();
    return true;
  }

  /** Tells other hosts of the longest wait here. */
  #announce(): void {
    const sinceMs = this.#turns[0]?.sinceMs;
    if (sinceMs === this.#announcedMs) return;
    this.#announcedMs = sinceMs;
    this.#context.locks().announce(this.#context.key, sinceMs);
  }

  /** Looks until the conversation is free here, and it is this host's turn. */
  async #watch(): Promise<void> {
    if (this.#isWatching) return;
    this.#isWatching = true;
    const { clock } = this.#context;
    const askedAtMs = clock.monotonicMs();
    let freeSinceMs: number | undefined;
    while (this.#elsewhere !== undefined && this.#turns.length > 0) {
      await sleep(POLL_MS, clock.running);
      const holder = await this.#holder(askedAtMs).catch((error) => String(error));
      freeSinceMs = holder === undefined ? (freeSinceMs ?? clock.monotonicMs()) : undefined;
      if (freeSinceMs === undefined) this.#elsewhere = holder;
      else if (this.#mayGo(freeSinceMs)) {
        this.#isOurs = true;
        this.#elsewhere = undefined;
      }
    }
    this.#elsewhere = undefined;
    this.#isWatching = false;
    this.review();
  }

  #mayGo(freeSinceMs: number): boolean {
    const { key, clock, locks } = this.#context;
    const [first] = this.#turns;
    if (clock.monotonicMs() - freeSinceMs >= PRECEDENCE_MS) return true;
    return first === undefined || !locks().isPreceded(key, first.sinceMs);
  }

  /** Names the agent that runs the conversation; `undefined` if there is none. */
  async #holder(askedAtMs: number): Promise<string | undefined> {
    const locks = this.#context.locks();
    const { holder, name } = await locks.holder(this.#context.key, askedAtMs);
    const seen = holder === 'nobody' ? this.#turns[0]?.request.observe?.() : undefined;
    if (seen !== undefined) return describeObserved(seen);
    if (holder === 'nobody') return undefined;
    if (holder === 'dead host') await locks.recover();
    return `${name} runs it`;
  }
}

interface TurnActions {
  take(): ConversationLease | undefined;
  lack(): string | undefined;
  leave(): void;
  changed(): void;
}

/** A request that waits for its conversation, and holds nothing until it takes it. */
export class ConversationTurn {
  readonly request: ConversationRequest;
  /** Start of the wait on the wall clock, which the hosts of a machine share. */
  readonly sinceMs: number;
  readonly #actions: TurnActions;

  constructor(request: ConversationRequest, sinceMs: number, actions: TurnActions) {
    this.request = request;
    this.sinceMs = sinceMs;
    this.#actions = actions;
  }

  /** Takes the conversation now; `undefined` if it is not this request's turn. */
  take(): ConversationLease | undefined {
    return this.#actions.take();
  }

  /** The reason why it cannot be taken, as far as is known. */
  get lack(): string | undefined {
    return this.#actions.lack();
  }

  /** Gives up waiting. */
  leave(): void {
    this.#actions.leave();
  }

  /** The conversation may be free. */
  changed(): void {
    this.#actions.changed();
  }
}
