import { PriorityQueue } from 'p-queue';
import * as z from 'zod/mini';
import { durationMs } from '../check.ts';
import { SupervisorError } from '../errors.ts';
import { type Clock, queueMicrotask } from '../os/clock.ts';
import type { MachineSlot, MachineSlots } from './machine-slots.ts';
import { QueueEntry } from './queue-entry.ts';

const DEFAULT_HARD_CAP = 10;

/** @internal */
export const poolOptions = z.lazy(() =>
  z
    .pipe(
      z.prefault(
        z.strictObject({
          concurrency: z._default(z.int().check(z.minimum(1)), 2),
          hardCap: z.optional(z.int().check(z.minimum(1))),
          machineConcurrency: z.optional(z.int().check(z.minimum(1))),
          hardCapPerKind: z._default(z.record(z.string(), z.int().check(z.minimum(1))), {}),
          waitTimeoutMs: z._default(durationMs(), 60_000),
          hookTimeoutMs: z.optional(durationMs()),
        }),
        {},
      ),
      z.transform(({ hardCap, ...rest }) => ({
        ...rest,
        // A pool that is larger than the default cap raises the cap.
        hardCap: hardCap ?? Math.max(DEFAULT_HARD_CAP, rest.concurrency),
        // The default is for what works by itself; the host's own number is for all that runs.
        hardCapCounts: hardCap === undefined ? ('workers' as const) : ('all' as const),
      })),
    )
    .check(
      z.refine(({ hardCap, concurrency }) => hardCap >= concurrency, {
        error: 'hardCap must be at least concurrency',
        path: ['hardCap'],
      }),
    ),
);

/** The bounds on live processes. */
export type HardCaps = Readonly<
  Pick<z.output<typeof poolOptions>, 'hardCap' | 'hardCapCounts' | 'hardCapPerKind'>
>;

/** The bound on the live processes of a kind, if there is one. */
export function hardCapOf(kind: string, { hardCapPerKind }: HardCaps): number | undefined {
  // Any text may be a kind, even `constructor`.
  return hardCapPerKind[Object.hasOwn(hardCapPerKind, kind) ? kind : '*'];
}

/** The right to run one process; it ends when `release` is called, and further calls do nothing. */
export class Slot {
  #onRelease: (() => void) | undefined;

  constructor(onRelease: () => void) {
    this.#onRelease = onRelease;
  }

  release(): void {
    const onRelease = this.#onRelease;
    this.#onRelease = undefined;
    onRelease?.();
  }
}

/** A need of a request beside its slot; both are taken together, or not at all. */
export interface Condition {
  /** Takes it when a slot is free for the request. With false, the next request goes first. */
  take(): boolean;
  /** The reason why it cannot be taken now, as a clause; `undefined` if it can. */
  readonly lack: string | undefined;
}

/** A request for a slot. */
export interface SlotRequest {
  /** The process that asks; `undefined` for a lease. */
  readonly id?: string | undefined;
  readonly sessionId: string | undefined;
  /** True if the request takes one of the slots; others only wait until the pool is ready. */
  readonly needsSlot: boolean;
  /** Higher priorities go first; equal ones in order of arrival. */
  readonly priority: number;
  /** `undefined` waits forever. */
  readonly timeoutMs: number | undefined;
  readonly signal: AbortSignal | undefined;
  /** Called once when the request is the next to get a slot, and none is free yet. */
  readonly atHead?: (() => void) | undefined;
  /** Call {@link Pool.review} when what it depends on has changed. */
  readonly condition?: Condition | undefined;
}

/** A waiting request, with its start on the monotonic clock. */
export interface Waiting {
  readonly request: SlotRequest;
  readonly sinceMs: number;
}

/** The state that a pool and its entries share. */
interface Ledger {
  readonly clock: Clock;
  // p-queue's order without its tasks: those end some microtasks after the release. Until then the
  // slot would be free and yet not available.
  readonly queue: PriorityQueue;
  readonly waiting: Set<PoolEntry>;
  held: number;
  /** The machine's slot of the next grant. */
  machineSlot: MachineSlot | undefined;
  /** Number of waiting requests that have an `atHead` callback. */
  curious: number;
  /** The reason why the machine has no slot; `undefined` if it is not asked for one. */
  machineObstacle(): string | undefined;
  /** Grants free slots to waiting requests, in a microtask. */
  handOut(): void;
}

/** Grants slots, at most `concurrency` at once, in order of arrival within a priority. */
export class Pool {
  #concurrency: number;
  readonly #ledger: Ledger;
  readonly #machine: () => MachineSlots | undefined;
  #isHandingOut = false;
  #ready = true;
  /** The requests that wait for nothing but a slot of the machine. */
  #waitingForMachine: readonly Waiting[] = [];
  /** True if the machine had no slot for a request of the same hand-out. */
  #isMachineFull = false;
  /** The machine's slots that were told so. */
  #told: MachineSlots | undefined;

  /** `machine`: the slots that all its hosts share; `undefined` where there is no such limit. */
  constructor(
    concurrency: number,
    clock: Clock,
    machine: () => MachineSlots | undefined = () => undefined,
  ) {
    this.#concurrency = concurrency;
    this.#machine = machine;
    this.#ledger = {
      clock,
      queue: new PriorityQueue(),
      waiting: new Set(),
      held: 0,
      machineSlot: undefined,
      curious: 0,
      machineObstacle: () => this.machineObstacle,
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

  /** A pool that is not ready grants nothing. */
  get ready(): boolean {
    return this.#ready;
  }

  set ready(ready: boolean) {
    this.#ready = ready;
    if (ready) this.#handOut();
  }

  get waiting(): ReadonlySet<Waiting> {
    return this.#ledger.waiting;
  }

  /** The waiting requests, in the order in which they get a slot. */
  get queue(): readonly PoolEntry[] {
    return [...this.#ledger.waiting].sort((a, b) => b.request.priority - a.request.priority);
  }

  /** Number of slots held now. */
  get held(): number {
    return this.#ledger.held;
  }

  /** Tells that a request waits for nothing but a slot of the machine. */
  waitsForMachine(waiting: Waiting): boolean {
    return this.#waitingForMachine.includes(waiting);
  }

  /** The reason why the machine has no slot for this host, as a clause; `undefined` if it is not asked. */
  get machineObstacle(): string | undefined {
    return this.#waitingForMachine.length === 0 ? undefined : this.#machine()?.obstacle;
  }

  /**
   * Asks for a slot. Returns a free one if nobody waits for it, else a place in the queue, or a
   * refusal.
   */
  ask(request: SlotRequest): Slot | PoolEntry | SupervisorError {
    if (request.signal?.aborted) return aborted(request.signal);
    const waiting = { request, sinceMs: this.#ledger.clock.monotonicMs() };
    this.#isMachineFull = false;
    const isFirst = !request.needsSlot || this.waiting.size === 0;
    if (isFirst && this.#take(waiting)) return slotOf(request, this.#ledger);
    const entry = new PoolEntry(request, this.#ledger);
    // Those before it may lack something that it does not need.
    if (this.#free > this.#waitingForMachine.length) this.#handOut();
    this.#tellHead();
    return entry.answer ?? entry;
  }

  /** Refuses every request in the queue that `matches`. */
  refuse(matches: (request: SlotRequest) => boolean, error: () => SupervisorError): void {
    for (const entry of [...this.#ledger.waiting])
      if (matches(entry.request)) entry.refuse(error());
  }

  /** Looks again which requests may go. */
  review(): void {
    this.#handOut();
  }

  /** Number of this host's slots that can be granted now. */
  get #free(): number {
    return this.#ready ? Math.max(0, this.concurrency - this.held) : 0;
  }

  /** Takes all that a request needs for the next grant: both slots and its condition, or nothing. */
  #take(waiting: Waiting): boolean {
    const { needsSlot, condition } = waiting.request;
    if (needsSlot ? this.#free === 0 : !this.#ready) return false;
    const machine = needsSlot ? this.#machine() : undefined;
    if (machine !== undefined && this.#isMachineFull) return false;
    const slot = machine?.take(waiting);
    if (machine !== undefined && slot === undefined) {
      this.#isMachineFull = true;
      return false;
    }
    if (!(condition?.take() ?? true)) {
      slot?.release();
      return false;
    }
    this.#ledger.machineSlot = slot;
    return true;
  }

  /** Tells the machine which requests wait for nothing else. */
  #tellMachine(): void {
    if (this.waiting.size === 0 && this.#told === undefined) return;
    const machine = this.#machine();
    if (machine !== this.#told) this.#told?.await([], () => undefined);
    this.#told = machine;
    const waits = machine === undefined || this.#free === 0 ? [] : this.queue;
    this.#waitingForMachine = waits
      .filter(({ request }) => request.needsSlot && request.condition?.lack === undefined)
      .slice(0, this.#free);
    machine?.await(this.#waitingForMachine, () => this.#handOut());
  }

  #handOut(): void {
    if (this.#isHandingOut) return;
    if (this.waiting.size === 0) {
      this.#tellMachine();
      return;
    }
    this.#isHandingOut = true;
    queueMicrotask(() => {
      this.#isHandingOut = false;
      this.#isMachineFull = false;
      for (const entry of this.queue) {
        if (this.#ledger.waiting.has(entry) && this.#take(entry)) entry.grant();
      }
      this.#tellMachine();
      this.#tellHead();
    });
  }

  #tellHead(): void {
    if (this.#ledger.curious === 0 || !this.#ready) return;
    this.#head?.tellHead();
  }

  /** The request that is the next to get a slot. */
  get #head(): PoolEntry | undefined {
    let head: PoolEntry | undefined;
    for (const entry of this.#ledger.waiting) {
      const { atHead, condition, priority } = entry.request;
      // It lets the next one go.
      if (atHead === undefined && condition?.lack !== undefined) continue;
      if (head === undefined || priority > head.request.priority) head = entry;
    }
    return head;
  }
}

/** A request in the queue of a pool. */
export class PoolEntry extends QueueEntry<Slot> implements Waiting {
  readonly request: SlotRequest;
  readonly sinceMs: number;
  readonly #ledger: Ledger;
  /** The queue's item: a function, which the queue takes for a task. */
  readonly #task = async (): Promise<void> => this.#grant();
  #cancelTimer: (() => void) | undefined;
  #isCurious: boolean;

  constructor(request: SlotRequest, ledger: Ledger) {
    super();
    const { queue, waiting, clock } = ledger;
    const { priority, signal, timeoutMs } = request;
    this.request = request;
    this.#ledger = ledger;
    this.sinceMs = clock.monotonicMs();
    this.#isCurious = request.atHead !== undefined;
    if (this.#isCurious) ledger.curious++;
    waiting.add(this);
    queue.enqueue(this.#task, { priority });
    signal?.addEventListener('abort', this.#onAbort, { once: true });
    if (timeoutMs !== undefined) {
      const timeOut = () =>
        this.refuse(timedOut(timeoutMs, request.condition?.lack, ledger.machineObstacle()));
      this.#cancelTimer = clock.running.after(timeoutMs, timeOut, { keepAlive: true });
    }
  }

  /** Grants the request, whatever its place in the queue. */
  grant(): void {
    this.#ledger.queue.remove(this.#task);
    this.#grant();
  }

  /** Leaves the queue with `error`; does nothing if it has left already. */
  refuse(error: SupervisorError): void {
    if (this.#quit()) this.settle(error);
  }

  override leave(): void {
    this.#quit();
  }

  tellHead(): void {
    if (!this.#isCurious) return;
    this.#satisfy();
    this.request.atHead?.();
  }

  readonly #onAbort = (): void => this.refuse(aborted(this.request.signal));

  #satisfy(): void {
    if (this.#isCurious) this.#ledger.curious--;
    this.#isCurious = false;
  }

  #grant(): void {
    if (this.#forget()) this.settle(slotOf(this.request, this.#ledger));
  }

  #quit(): boolean {
    if (!this.#forget()) return false;
    this.#ledger.queue.remove(this.#task);
    // Another request may be at the head now.
    this.#ledger.handOut();
    return true;
  }

  /** Returns true if the entry was in the queue. */
  #forget(): boolean {
    if (!this.#ledger.waiting.delete(this)) return false;
    this.#satisfy();
    this.#cancelTimer?.();
    this.request.signal?.removeEventListener('abort', this.#onAbort);
    return true;
  }
}

function slotOf({ needsSlot }: SlotRequest, ledger: Ledger): Slot {
  // Its end may be what others wait for: a place below the hard cap.
  if (!needsSlot) return new Slot(() => ledger.handOut());
  const { machineSlot } = ledger;
  ledger.machineSlot = undefined;
  ledger.held++;
  return new Slot(() => {
    ledger.held--;
    machineSlot?.release();
    ledger.handOut();
  });
}

function aborted(signal: AbortSignal | undefined): SupervisorError {
  return new SupervisorError(
    'ABORTED',
    'The request was aborted while it waited for a slot; nothing was started.',
    { cause: signal?.reason },
  );
}

function timedOut(
  timeoutMs: number,
  lack: string | undefined,
  obstacle: string | undefined,
): SupervisorError {
  const reason = lack ?? obstacle;
  const what =
    lack === undefined
      ? `No slot became free within ${timeoutMs} ms${obstacle === undefined ? '' : `: ${obstacle}`}.`
      : `The request could not go on within ${timeoutMs} ms: ${lack}.`;
  const advice =
    reason === undefined || lack !== undefined
      ? 'pool.concurrency or the time-out (pool.waitTimeoutMs; pool.hookTimeoutMs of a spawn hook), or end what holds the slots (supervisor.list())'
      : 'pool.machineConcurrency of all hosts, or pool.waitTimeoutMs';
  return new SupervisorError('POOL_TIMEOUT', `${what} Raise ${advice}.`, {
    data: {
      timeoutMs,
      ...(reason !== undefined && { reason }),
      ...(lack === undefined && obstacle !== undefined && { obstacle }),
    },
  });
}
