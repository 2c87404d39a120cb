import type { Condition } from './condition.ts';
import type { PoolEntry } from './pool-entry.ts';
import { Semaphore } from './semaphore.ts';

/** A condition, and the requests that wait for it: most have one of their own. */
export class ConditionSemaphore extends Semaphore<PoolEntry> {
  override readonly isFinal = true;
  readonly #condition: Condition;
  #isRefused = false;

  constructor(condition: Condition) {
    super('condition', 1);
    this.#condition = condition;
  }

  override get hasRoom(): boolean {
    return (!this.#isRefused || this.line.isEmpty) && this.#condition.lack === undefined;
  }

  override tryAcquire(): boolean {
    // Whoever acquires it has looked whether it has room.
    this.#isRefused = !this.#condition.take();
    return !this.#isRefused;
  }

  /** Its holder itself gives back what it took. */
  override release(): void {}

  /** Looks at the condition again at the next turn. */
  retry(): void {
    this.#isRefused = false;
  }

  override get reason(): string {
    return this.#condition.lack ?? super.reason;
  }
}
