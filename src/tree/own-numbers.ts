import type { PidSupply } from '../os/os.ts';
import { mayBeReused } from './number-reuse.ts';

/**
 * The group and session ids of one tree, each with a reading up to which it belonged to the tree.
 *
 * An id is free for reuse once its group and its session are empty. Two snapshots with a member in
 * a group therefore prove nothing about the time between them: the group may have been emptied and
 * created anew by others. So each id is proven from reading to reading, as long as the kernel
 * cannot have passed it. A snapshot that finds a member in it, proven by other means, proves it
 * anew.
 */
export class OwnNumbers {
  readonly #root: number;
  readonly #since = new Map<number, PidSupply>();

  /** `launched` is a reading before the launch of the root, whose pid is the next one assigned. */
  constructor(root: number, launched: PidSupply | undefined) {
    this.#root = root;
    if (launched !== undefined) this.#since.set(root, { ...launched, last: root });
  }

  /** The ids that cannot have been assigned to others up to this reading. */
  at(reading: PidSupply | undefined): Set<number> {
    if (reading === undefined) return new Set();
    const ours = [...this.#since].filter(([number, since]) => !mayBeReused(number, since, reading));
    return new Set(ours.map(([number]) => number));
  }

  /** Takes a reading; `found` are the ids in use by members in a snapshot before it. */
  prove(reading: PidSupply | undefined, found?: ReadonlySet<number>): void {
    if (reading === undefined) return;
    const still = this.at(reading);
    for (const [number, since] of this.#since) {
      // An older reading adds nothing.
      if (since.forks > reading.forks) continue;
      const isUsed = number === this.#root || (found?.has(number) ?? true);
      if (isUsed && still.has(number)) this.#since.set(number, reading);
      else this.#since.delete(number);
    }
    for (const number of found ?? [])
      if (!this.#since.has(number)) this.#since.set(number, reading);
  }
}
