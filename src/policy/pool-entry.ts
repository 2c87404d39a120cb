import type { SupervisorError } from '../errors.ts';
import type { Clock } from '../os/clock.ts';
import type { WaitsFor } from '../reports.ts';
import type { Gate } from './gate.ts';
import type { Place } from './line.ts';
import { aborted, timedOut } from './pool-refusals.ts';
import { QueueEntry } from './queue-entry.ts';
import type { Slot } from './slot.ts';

/** A request for a slot, for keys, or for both. */
export interface SlotRequest {
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
  /** Called when the request is the next that a closed gate will let through: once for each gate. */
  readonly atHead?: ((waitsFor: WaitsFor) => void) | undefined;
}

/** The queue of a pool, as its entries see it. */
interface Queue {
  readonly clock: Clock;
  /** An entry has left without a grant. */
  left(entry: PoolEntry): void;
}

/** A request in the queue of a pool. It holds nothing, and waits in the line of one gate. */
export class PoolEntry extends QueueEntry<Slot> implements Place {
  readonly request: SlotRequest;
  readonly priority: number;
  readonly number: number;
  /** All that it has to pass. */
  readonly gates: readonly Gate<PoolEntry>[];
  /** Its start on the monotonic clock. */
  readonly sinceMs: number;
  readonly #queue: Queue;
  #gate: Gate<PoolEntry> | undefined;
  #toldBy: Gate<PoolEntry> | undefined;
  #isOver = false;
  #cancelTimer: (() => void) | undefined;
  #onAbort: (() => void) | undefined;

  constructor(
    request: SlotRequest,
    gates: readonly Gate<PoolEntry>[],
    number: number,
    queue: Queue,
  ) {
    super();
    const { signal, timeoutMs } = request;
    const { clock } = queue;
    this.request = request;
    this.priority = request.priority;
    this.number = number;
    this.gates = gates;
    this.sinceMs = clock.monotonicMs();
    this.#queue = queue;
    if (signal !== undefined) {
      this.#onAbort = () => this.refuse(aborted(signal));
      signal.addEventListener('abort', this.#onAbort, { once: true });
    }
    if (timeoutMs !== undefined) {
      const timeOut = () => this.refuse(timedOut(timeoutMs, this.waitsFor));
      this.#cancelTimer = clock.running.after(timeoutMs, timeOut, { keepAlive: true });
    }
  }

  /** The gate in whose line it waits. */
  get gate(): Gate<PoolEntry> {
    return this.#gate as Gate<PoolEntry>;
  }

  get waitsFor(): WaitsFor {
    return this.gate.waitsFor;
  }

  waitAt(gate: Gate<PoolEntry>): void {
    this.#gate?.line.remove(this);
    this.#gate = gate;
    gate.line.add(this);
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
    if (this.#toldBy === this.#gate) return;
    this.#toldBy = this.#gate;
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
    this.gate.line.remove(this);
    this.#cancelTimer?.();
    if (this.#onAbort) this.request.signal?.removeEventListener('abort', this.#onAbort);
  }
}
