import type { PidSupply } from '../os/os.ts';
import { mayBeGivenOut } from './number-reuse.ts';

/**
 * The groups and sessions of one tree, each with a reading up to which its number was nobody else's.
 *
 * A number is out of use, and may be given out again, once its group and its session are empty. That a
 * group is not empty at two looks therefore proves nothing of the time between them: it may have been
 * emptied and made anew by others. So each number is proven from reading to reading, for as long as the
 * kernel cannot have come past it; or anew, by a look that has found a member in it that is proven
 * otherwise.
 */
export class OwnNumbers {
  readonly #root: number;
  readonly #since = new Map<number, PidSupply>();

  /** `launched`: a reading before the launch of the root, whose number is then the last given out. */
  constructor(root: number, launched: PidSupply | undefined) {
    this.#root = root;
    if (launched !== undefined) this.#since.set(root, { ...launched, last: root });
  }

  /** The numbers that cannot have been given out to others up to this reading. */
  at(reading: PidSupply | undefined): Set<number> {
    if (reading === undefined) return new Set();
    const ours = [...this.#since].filter(
      ([number, since]) => !mayBeGivenOut(number, since, reading),
    );
    return new Set(ours.map(([number]) => number));
  }

  /** Takes a reading; `found` are the numbers that a look before it has found in use by members. */
  prove(reading: PidSupply | undefined, found?: ReadonlySet<number>): void {
    if (reading === undefined) return;
    const still = this.at(reading);
    for (const [number, since] of this.#since) {
      // One that is older than what is known tells nothing new.
      if (since.forks > reading.forks) continue;
      const isUsed = number === this.#root || (found?.has(number) ?? true);
      if (isUsed && still.has(number)) this.#since.set(number, reading);
      else this.#since.delete(number);
    }
    for (const number of found ?? [])
      if (!this.#since.has(number)) this.#since.set(number, reading);
  }
}
