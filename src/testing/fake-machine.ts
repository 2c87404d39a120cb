import { queueMicrotask } from '../os/clock.ts';
import {
  type HostShare,
  heldOf,
  type MachineRequest,
  type MachineSlot,
  mayTake,
  NO_LIMIT,
} from '../policy/machine-slots.ts';
import type { Machine, MachineContext } from '../supervisor/internals.ts';

/**
 * The slots of a machine in memory, for test supervisors that are to share them.
 *
 * Each of them names its number by `pool.machineConcurrency`. Of requests that wait, the oldest goes first,
 * at once and by no clock.
 *
 * @example
 * ```ts
 * const [machine, pool] = [new FakeMachine(), { machineConcurrency: 1 }];
 * await using one = createTestSupervisor({ machine, pool, agent });
 * await using other = createTestSupervisor({ machine, pool, agent });
 * ```
 */
export class FakeMachine {
  readonly #hosts = new Set<FakeHost>();
  #arrivals = 0;
  readonly #arrivedAt = new WeakMap<MachineRequest, number>();

  /** Number of held slots. */
  get held(): number {
    return heldOf(this.#shares);
  }

  /** Number of requests that wait for nothing but one of these slots. */
  get waiting(): number {
    return this.#shares.reduce((sum, { waitingSinceMs }) => sum + waitingSinceMs.length, 0);
  }

  /** @internal Makes a supervisor one of its hosts. */
  join({ owner, limit }: Pick<MachineContext, 'owner' | 'limit'>): Machine {
    const host: FakeHost = new FakeHost({
      limit,
      instance: owner().instance,
      arrivedAt: (request) => this.#arrival(request),
      shares: () => this.#shares,
      changed: () => this.#changed(),
      closed: () => this.#hosts.delete(host),
    });
    this.#hosts.add(host);
    return host;
  }

  get #shares(): HostShare[] {
    return Array.from(this.#hosts, ({ share }) => share);
  }

  #arrival(request: MachineRequest): number {
    const known = this.#arrivedAt.get(request);
    if (known !== undefined) return known;
    this.#arrivedAt.set(request, ++this.#arrivals);
    return this.#arrivals;
  }

  #changed(): void {
    queueMicrotask(() => {
      for (const host of [...this.#hosts]) host.retry();
    });
  }
}

interface FakeHostParts {
  readonly instance: string;
  limit(): number | undefined;
  /** The place of a request among those of all hosts. */
  arrivedAt(request: MachineRequest): number;
  /** The shares of all hosts. */
  shares(): readonly HostShare[];
  /** Another host may be able to take a slot. */
  changed(): void;
  closed(): void;
}

/** One supervisor of a `FakeMachine`. */
class FakeHost implements Machine {
  readonly obstacle = 'all slots of this machine are held';
  readonly #parts: FakeHostParts;
  readonly #held = new Set<MachineSlot>();
  #waiting: readonly MachineRequest[] = [];
  #retry: () => void = () => undefined;

  constructor(parts: FakeHostParts) {
    this.#parts = parts;
  }

  get share(): HostShare {
    const { instance, limit, arrivedAt } = this.#parts;
    const waitingSinceMs = this.#waiting.map(arrivedAt);
    return {
      instance,
      limit: limit() ?? NO_LIMIT,
      held: this.#held.size,
      waitingSinceMs,
      seenMs: 0,
    };
  }

  get isBusy(): boolean {
    return this.#held.size > 0 || this.#waiting.length > 0;
  }

  take(request: MachineRequest): MachineSlot | undefined {
    const { instance, arrivedAt, shares } = this.#parts;
    const sinceMs = Math.min(arrivedAt(request), ...this.#waiting.map(arrivedAt));
    if (!mayTake({ instance, sinceMs }, shares(), 0)) return undefined;
    const slot: MachineSlot = { release: () => this.#give(slot) };
    this.#held.add(slot);
    this.#waiting = this.#waiting.filter((one) => one !== request);
    return slot;
  }

  #give(slot: MachineSlot): void {
    if (this.#held.delete(slot)) this.#parts.changed();
  }

  await(requests: readonly MachineRequest[], retry: () => void): void {
    const before = this.#waiting;
    this.#waiting = requests;
    this.#retry = retry;
    // Who waits no more may have been ahead of another host.
    if (before.some((one) => !requests.includes(one))) this.#parts.changed();
  }

  retry(): void {
    if (this.#waiting.length > 0) this.#retry();
  }

  rewrite(): void {
    // There is no file to write.
  }

  check(): string[] {
    return [];
  }

  close(): void {
    this.#parts.closed();
    this.#parts.changed();
  }
}
