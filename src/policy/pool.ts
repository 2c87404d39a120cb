import { PriorityQueue } from 'p-queue';
import * as z from 'zod/mini';
import { durationMs } from '../check.ts';
import { SupervisorError } from '../errors.ts';
import { type Clock, queueMicrotask } from '../os/clock.ts';

const DEFAULT_HARD_CAP = 10;

/** @internal */
export const poolOptions = z.lazy(() =>
  z
    .pipe(
      z.prefault(
        z.strictObject({
          concurrency: z._default(z.int().check(z.minimum(1)), 2),
          hardCap: z.optional(z.int().check(z.minimum(1))),
          waitTimeoutMs: z._default(durationMs(), 60_000),
        }),
        {},
      ),
      z.transform(({ hardCap, ...rest }) => ({
        ...rest,
        // A pool that is larger than the default cap raises the cap.
        hardCap: hardCap ?? Math.max(DEFAULT_HARD_CAP, rest.concurrency),
      })),
    )
    .check(
      z.refine(({ hardCap, concurrency }) => hardCap >= concurrency, {
        error: 'hardCap must be at least concurrency',
        path: ['hardCap'],
      }),
    ),
);

/** The right to run one agent; it ends when `release` is called, and further calls do nothing. */
export interface Slot {
  release(): void;
}

/** A request for a slot. Exactly one of `granted` and `refused` is called, once. */
export interface SlotRequest {
  readonly sessionId: string | undefined;
  /** Higher priorities go first; equal ones in order of arrival. */
  readonly priority: number;
  /** `undefined` waits forever. */
  readonly timeoutMs: number | undefined;
  readonly signal: AbortSignal | undefined;
  /** Called once when the request is the next to get a slot, and none is free yet. */
  readonly atHead?: (() => void) | undefined;
  granted(slot: Slot): void;
  refused(error: SupervisorError): void;
}

/** A request in the queue. */
export interface Waiter {
  readonly request: SlotRequest;
  /** Leaves the queue with `error`; does nothing once the slot is granted or refused. */
  refuse(error: SupervisorError): void;
}

/** A waiting request, with its start on the monotonic clock. */
export interface Waiting extends Waiter {
  readonly sinceMs: number;
}

/** The state that a pool and its entries share. */
interface Ledger {
  readonly clock: Clock;
  // p-queue's order without its tasks: those end some microtasks after the release. Until then the
  // slot would be free and yet not available.
  readonly queue: PriorityQueue;
  readonly waiting: Set<Entry>;
  held: number;
  /** Number of waiting requests that have an `atHead` callback. */
  curious: number;
  /** Grants free slots to waiting requests, in a microtask. */
  handOut(): void;
}

/** Grants slots, at most `concurrency` at once, in order of arrival within a priority. */
export class Pool {
  #concurrency: number;
  readonly #ledger: Ledger;
  #isHandingOut = false;
  #isOpen = true;

  constructor(concurrency: number, clock: Clock) {
    this.#concurrency = concurrency;
    this.#ledger = {
      clock,
      queue: new PriorityQueue(),
      waiting: new Set(),
      held: 0,
      curious: 0,
      handOut: () => this.#handOut(),
    };
  }

  get concurrency(): number {
    return this.#concurrency;
  }

  /** Changes the size; holders of surplus slots keep them until their release. */
  resize(concurrency: number): void {
    this.#concurrency = concurrency;
    this.#handOut();
  }

  /** Grants nothing until `open` is called. */
  pause(): void {
    this.#isOpen = false;
  }

  open(): void {
    this.#isOpen = true;
    this.#handOut();
  }

  get waiting(): ReadonlySet<Waiting> {
    return this.#ledger.waiting;
  }

  /** The waiting requests, in the order in which they get a slot. */
  get queue(): readonly Waiting[] {
    return [...this.waiting].sort((a, b) => b.request.priority - a.request.priority);
  }

  /** Number of slots held now. */
  get held(): number {
    return this.#ledger.held;
  }

  /** Asks for a slot; a free one is granted before this returns if nobody waits for it. */
  request(request: SlotRequest): Waiter {
    const entry = new Entry(request, this.#ledger);
    if (request.signal?.aborted) entry.abort();
    else if (this.waiting.size === 0 && this.#hasFree()) entry.grant();
    else {
      entry.wait();
      this.#tellHead();
    }
    return entry;
  }

  /** Refuses every waiting request that `matches`. */
  refuse(matches: (request: SlotRequest) => boolean, error: () => SupervisorError): void {
    for (const waiter of [...this.waiting]) if (matches(waiter.request)) waiter.refuse(error());
  }

  #hasFree(): boolean {
    return this.#isOpen && this.held < this.concurrency;
  }

  #handOut(): void {
    if (this.#isHandingOut || this.waiting.size === 0) return;
    this.#isHandingOut = true;
    queueMicrotask(() => {
      this.#isHandingOut = false;
      while (this.#hasFree() && this.waiting.size > 0) {
        void this.#ledger.queue.dequeue()?.();
      }
      this.#tellHead();
    });
  }

  #tellHead(): void {
    if (this.#ledger.curious === 0 || !this.#isOpen) return;
    let head: Entry | undefined;
    for (const entry of this.#ledger.waiting)
      if (head === undefined || entry.request.priority > head.request.priority) head = entry;
    head?.tellHead();
  }
}

class Entry implements Waiting, Slot {
  readonly request: SlotRequest;
  sinceMs = 0;
  readonly #ledger: Ledger;
  #state: 'waiting' | 'held' | 'over' = 'waiting';
  /** The queue's item: a function, which the queue takes for a task. */
  #turn: (() => Promise<void>) | undefined;
  #onAbort: (() => void) | undefined;
  #cancelTimer: (() => void) | undefined;
  #isCurious = false;

  constructor(request: SlotRequest, ledger: Ledger) {
    this.request = request;
    this.#ledger = ledger;
  }

  grant(): void {
    this.#leave('held');
    this.#ledger.held++;
    this.request.granted(this);
  }

  release(): void {
    if (this.#state !== 'held') return;
    this.#state = 'over';
    this.#ledger.held--;
    this.#ledger.handOut();
  }

  wait(): void {
    const { queue, waiting, clock } = this.#ledger;
    const { priority, signal, timeoutMs } = this.request;
    waiting.add(this);
    this.sinceMs = clock.monotonicMs();
    this.#isCurious = this.request.atHead !== undefined;
    if (this.#isCurious) this.#ledger.curious++;
    this.#turn = async () => this.grant();
    queue.enqueue(this.#turn, { priority });
    if (signal !== undefined) {
      this.#onAbort = () => this.abort();
      signal.addEventListener('abort', this.#onAbort, { once: true });
    }
    if (timeoutMs !== undefined) {
      const timeOut = () => this.refuse(timedOut(timeoutMs));
      this.#cancelTimer = clock.running.after(timeoutMs, timeOut, { keepAlive: true });
    }
  }

  tellHead(): void {
    if (!this.#isCurious) return;
    this.#satisfy();
    this.request.atHead?.();
  }

  refuse(error: SupervisorError): void {
    if (this.#state !== 'waiting') return;
    this.#leave('over');
    if (this.#turn !== undefined) this.#ledger.queue.remove(this.#turn);
    // Another request may be at the head now.
    if (this.#ledger.curious > 0) this.#ledger.handOut();
    this.request.refused(error);
  }

  abort(): void {
    const cause = this.request.signal?.reason;
    this.refuse(
      new SupervisorError(
        'ABORTED',
        'The request was aborted while it waited for a slot; nothing was started.',
        { cause },
      ),
    );
  }

  #satisfy(): void {
    if (this.#isCurious) this.#ledger.curious--;
    this.#isCurious = false;
  }

  #leave(state: 'held' | 'over'): void {
    this.#state = state;
    this.#ledger.waiting.delete(this);
    this.#satisfy();
    this.#cancelTimer?.();
    if (this.#onAbort !== undefined)
      this.request.signal?.removeEventListener('abort', this.#onAbort);
  }
}

function timedOut(timeoutMs: number): SupervisorError {
  return new SupervisorError(
    'POOL_TIMEOUT',
    `No slot became free within ${timeoutMs} ms. Raise pool.concurrency or pool.waitTimeoutMs, or end what holds the slots (supervisor.list()).`,
    { data: { timeoutMs } },
  );
}
