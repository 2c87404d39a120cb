import PQueue from 'p-queue';
import { z } from 'zod';
import { SupervisorError } from '../errors.ts';
import type { Clock } from '../os/clock.ts';
import { durationMs } from '../validation.ts';

const DEFAULT_HARD_CAP = 10;

export const poolOptions = z
  .strictObject({
    concurrency: z.int().min(1).default(2),
    hardCap: z.int().min(1).optional(),
    waitTimeoutMs: durationMs.default(60_000),
  })
  .prefault({})
  .transform(({ hardCap, ...rest }) => ({
    ...rest,
    // A pool that was made larger than the default cap means it.
    hardCap: hardCap ?? Math.max(DEFAULT_HARD_CAP, rest.concurrency),
  }))
  .refine(({ hardCap, concurrency }) => hardCap >= concurrency, {
    error: 'hardCap must be at least concurrency',
    path: ['hardCap'],
  });

/** The right to have one agent running; it ends when `release` is called, however often. */
export interface Slot {
  release(): void;
}

/** Someone who wants a slot. Exactly one of `granted` and `refused` is called, once. */
export interface SlotRequest {
  readonly sessionId: string | undefined;
  /** Higher goes first; first come, first served within one. */
  readonly priority: number;
  /** `undefined` waits for ever. */
  readonly timeoutMs: number | undefined;
  readonly signal: AbortSignal | undefined;
  granted(slot: Slot): void;
  refused(error: SupervisorError): void;
}

/** A request in the queue. */
export interface Waiter {
  readonly request: SlotRequest;
  readonly sinceMs: number;
  /** Leaves the queue with `error`; does nothing once the slot is granted or refused. */
  refuse(error: SupervisorError): void;
}

/** Hands out the slots: never more than `concurrency` at once, first come, first served within a priority. */
export class Pool {
  readonly #queue: PQueue;
  readonly #clock: Clock;
  readonly #waiting = new Set<Waiter>();
  #held = 0;

  constructor(concurrency: number, clock: Clock) {
    this.#queue = new PQueue({ concurrency });
    this.#clock = clock;
  }

  /** Grants nothing until `open` is called. */
  pause(): void {
    this.#queue.pause();
  }

  open(): void {
    this.#queue.start();
  }

  get waiting(): ReadonlySet<Waiter> {
    return this.#waiting;
  }

  /** How many slots are held now. */
  get held(): number {
    return this.#held;
  }

  get concurrency(): number {
    return this.#queue.concurrency;
  }

  /** Asks for a slot; a free one is granted before this returns. */
  request(request: SlotRequest): Waiter {
    const entry = new Entry(request, this.#clock, this.#waiting, (by) => {
      this.#held += by;
    });
    // A task whose end is the slot's release. p-queue's own signal and timeout would free a slot
    // that is still in use, so giving up is ours: the task of who gave up passes its turn on at once.
    if (!entry.over) void this.#queue.add(entry.task, { priority: request.priority });
    return entry;
  }

  /** Refuses every waiter that `matches`. */
  refuse(matches: (request: SlotRequest) => boolean, error: () => SupervisorError): void {
    for (const waiter of [...this.#waiting]) if (matches(waiter.request)) waiter.refuse(error());
  }
}

class Entry implements Waiter, Slot {
  readonly request: SlotRequest;
  readonly sinceMs: number;
  readonly #waiting: Set<Waiter>;
  readonly #count: (by: 1 | -1) => void;
  #cancelTimer: (() => void) | undefined;
  #state: 'waiting' | 'held' | 'over' = 'waiting';
  #endTask: (() => void) | undefined;

  constructor(
    request: SlotRequest,
    clock: Clock,
    waiting: Set<Waiter>,
    count: (by: 1 | -1) => void,
  ) {
    this.request = request;
    this.sinceMs = clock.monotonicMs();
    this.#waiting = waiting;
    this.#count = count;
    waiting.add(this);
    const { signal, timeoutMs } = request;
    if (signal?.aborted) this.#onAbort();
    if (this.over) return;
    signal?.addEventListener('abort', this.#onAbort, { once: true });
    if (timeoutMs === undefined) return;
    this.#cancelTimer = clock.after(timeoutMs, () => this.refuse(timedOut(timeoutMs)), {
      keepAlive: true,
    });
  }

  get over(): boolean {
    return this.#state === 'over';
  }

  readonly task = (): Promise<void> | undefined => {
    if (this.#state !== 'waiting') return undefined;
    this.#leaveQueue('held');
    this.#count(1);
    const released = new Promise<void>((resolve) => {
      this.#endTask = resolve;
    });
    this.request.granted(this);
    return released;
  };

  release(): void {
    if (this.#state !== 'held') return;
    this.#state = 'over';
    this.#count(-1);
    this.#endTask?.();
  }

  refuse(error: SupervisorError): void {
    if (this.#state !== 'waiting') return;
    this.#leaveQueue('over');
    this.request.refused(error);
  }

  readonly #onAbort = (): void => {
    const cause = this.request.signal?.reason;
    this.refuse(
      new SupervisorError(
        'ABORTED',
        'The request was aborted while it waited for a slot; nothing was started.',
        { cause },
      ),
    );
  };

  #leaveQueue(state: 'held' | 'over'): void {
    this.#state = state;
    this.#waiting.delete(this);
    this.#cancelTimer?.();
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
