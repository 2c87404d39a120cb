import type { MachineRequest, MachineSlot, MachineSlots } from './machine-slots.ts';
import type { PoolEntry } from './pool-entry.ts';
import { Semaphore } from './semaphore.ts';

/** The bound on the slots of the machine, and the requests that wait for nothing else. */
export class MachineSemaphore extends Semaphore<PoolEntry> {
  readonly #machine: () => MachineSlots | undefined;
  readonly #retried: () => void;
  /** The machine had no slot when it was last asked. */
  #isRefused = false;
  /** The slot of the request that is about to be granted. */
  #taken: MachineSlot | undefined;
  /** The machine that was told of waiting requests. */
  #told: MachineSlots | undefined;

  /** `retried` is called when it may be worth asking the machine again. */
  constructor(machine: () => MachineSlots | undefined, retried: () => void) {
    super('machine', Number.POSITIVE_INFINITY);
    this.#machine = machine;
    this.#retried = retried;
  }

  override get hasRoom(): boolean {
    return !this.#isRefused || this.line.isEmpty;
  }

  override tryAcquire(request: MachineRequest): boolean {
    if (!this.hasRoom) return false;
    const machine = this.#machine();
    this.#taken = machine?.take(request);
    this.#isRefused = machine !== undefined && this.#taken === undefined;
    return !this.#isRefused;
  }

  override release(): void {
    this.handOver()?.release();
    this.#isRefused = false;
  }

  /** Leaves the slot just acquired to its request; `undefined` where the machine has no limit. */
  handOver(): MachineSlot | undefined {
    const taken = this.#taken;
    this.#taken = undefined;
    return taken;
  }

  /** Asks the machine again at the next turn. */
  retry(): void {
    this.#isRefused = false;
  }

  /** Tells the machine which requests wait for nothing else. */
  tell(entries: readonly PoolEntry[]): void {
    const machine = entries.length > 0 ? this.#machine() : undefined;
    if (this.#told !== machine) this.#told?.await([], () => undefined);
    this.#told = machine;
    machine?.await(entries, this.#retried);
  }

  /** The reason why the machine has no slot, as a clause; `undefined` if it is not asked. */
  get obstacle(): string | undefined {
    return this.#told?.obstacle;
  }

  override get reason(): string {
    return this.obstacle ?? super.reason;
  }
}
