import type { SupervisorError } from '../errors.ts';
import type { Clock } from '../os/clock.ts';
import type { WaitsFor } from '../reports.ts';
import type { Condition } from './condition.ts';
import type { Place } from './line.ts';
import { aborted, timedOut } from './pool-refusals.ts';
import { QueueEntry } from './queue-entry.ts';
import type { Semaphore } from './semaphore.ts';
import type { Slot } from './slot.ts';

/** A request for a slot, for keys, or for both. */
export interface SlotRequest {
  /** The process that asks; `undefined` for a lease. */
  readonly id?: string | undefined;
  readonly sessionId: string | undefined;
  /** True if the request takes one of the slots. */
  readonly needsSlot: boolean;
  /** The keys under which it counts. */
  readonly keys?: readonly string[] | undefined;
  /** The kind of the process to start; `undefined` for a lease. */
  readonly kind?: string | undefined;
  /** The slot that the caller has already: nothing but the start is left to wait for. */
  readonly held?: Slot | undefined;
  /** Higher priorities go first; equal ones in order of arrival. */
  readonly priority: number;
  /** `undefined` waits forever. */
  readonly timeoutMs: number | undefined;
  readonly signal: AbortSignal | undefined;
  /** Called when the request is the first in the line of a full semaphore: once for each. */
  readonly atHead?: ((waitsFor: WaitsFor) => void) | undefined;
  /** Call {@link Pool.review} when what it depends on has changed. */
  readonly condition?: Condition | undefined;
}

/** The queue of a pool, as its entries see it. */
interface Queue {
  readonly clock: Clock;
  /** An entry has left without a grant. */
  left(entry: PoolEntry): void;
}

/** A request in the queue of a pool. It holds nothing, and waits in the line of one semaphore. */
export class PoolEntry extends QueueEntry<Slot> implements Place {
  readonly request: SlotRequest;
  readonly priority: number;
  readonly number: number;
  /** All that it needs. */
  readonly semaphores: readonly Semaphore<PoolEntry>[];
  /** Its start on the monotonic clock. */
  readonly sinceMs: number;
  readonly #queue: Queue;
  #semaphore: Semaphore<PoolEntry> | undefined;
  #toldBy: Semaphore<PoolEntry> | undefined;
  #isOver = false;
  #cancelTimer: (() => void) | undefined;
  #onAbort: (() => void) | undefined;

  constructor(
    request: SlotRequest,
    semaphores: readonly Semaphore<PoolEntry>[],
    number: number,
    queue: Queue,
  ) {
    super();
    const { signal, timeoutMs } = request;
    const { clock } = queue;
    this.request = request;
    this.priority = request.priority;
    this.number = number;
    this.semaphores = semaphores;
    this.sinceMs = clock.monotonicMs();
    this.#queue = queue;
    if (signal !== undefined) {
      this.#onAbort = () => this.refuse(aborted(signal));
      signal.addEventListener('abort', this.#onAbort, { once: true });
    }
    if (timeoutMs !== undefined) {
      const timeOut = () => this.refuse(timedOut(timeoutMs, this.semaphore));
      this.#cancelTimer = clock.running.after(timeoutMs, timeOut, { keepAlive: true });
    }
  }

  /** The semaphore in whose line it waits. */
  get semaphore(): Semaphore<PoolEntry> {
    return this.#semaphore as Semaphore<PoolEntry>;
  }

  get waitsFor(): WaitsFor {
    return this.semaphore.waitsFor;
  }

  /** The reason why it waits, as a clause. */
  get reason(): string {
    return this.semaphore.reason;
  }

  waitAt(semaphore: Semaphore<PoolEntry>): void {
    this.#semaphore?.line.remove(this);
    this.#semaphore = semaphore;
    semaphore.line.add(this);
  }

  /** Leaves the queue with what it waited for. */
  grant(slot: Slot): void {
    this.#forget();
    this.settle(slot);
  }

  /** Leaves the queue with `error`; does nothing if it has left already. */
  refuse(error: SupervisorError): void {
    if (this.#quit()) this.settle(error);
  }

  override leave(): void {
    this.#quit();
  }

  tellHead(): void {
    if (this.#toldBy === this.#semaphore) return;
    this.#toldBy = this.#semaphore;
    this.request.atHead?.(this.waitsFor);
  }

  #quit(): boolean {
    if (this.#isOver) return false;
    this.#forget();
    this.#queue.left(this);
    return true;
  }

  #forget(): void {
    this.#isOver = true;
    this.semaphore.line.remove(this);
    this.#cancelTimer?.();
    if (this.#onAbort) this.request.signal?.removeEventListener('abort', this.#onAbort);
  }
}
