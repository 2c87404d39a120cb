import type { PoolEntry } from './pool-entry.ts';
import { Semaphore } from './semaphore.ts';

/** A need of a request beside its slot; both are taken together, or not at all. */
export interface Condition {
  /** Takes it when all else is free for the request; with false, the next request goes first. */
  take(): boolean;
  /** The reason why it cannot be taken now, as a clause; `undefined` if it can. */
  readonly lack: string | undefined;
}

/** The condition of one request, and the line in which that request alone waits for it. */
export class ConditionGate extends Semaphore<PoolEntry> {
  override readonly isFinal = true;
  readonly #condition: Condition;
  #isRefused = false;

  constructor(condition: Condition) {
    super('condition', 1);
    this.#condition = condition;
  }

  override get hasRoom(): boolean {
    return !this.#isRefused && this.#condition.lack === undefined;
  }

  override tryAcquire(): boolean {
    if (!this.hasRoom) return false;
    this.#isRefused = !this.#condition.take();
    return !this.#isRefused;
  }

  /** What depends on the condition gives it back. */
  override release(): void {}

  /** Looks at the condition again at the next turn. */
  retry(): void {
    this.#isRefused = false;
  }

  override get reason(): string {
    return this.#condition.lack ?? super.reason;
  }
}
