import { COOKIE_VARIABLE, type Os } from '../os/os.ts';
import { extendCookie } from './cookie.ts';
import type { Owner } from './identity.ts';
import { Journal } from './journal.ts';

/** Who we are, what we own, and how what we start is marked as ours. */
export class Registry {
  readonly owner: Owner;
  readonly journal: Journal;
  readonly #os: Os;

  /** Opens a journal of our own in `stateDir`; throws `STATE_DIR_UNSAFE` if that cannot be done. */
  constructor(os: Os, stateDir: string, warn: (message: string, error: unknown) => void) {
    this.#os = os;
    this.owner = { ...os.identify(), instance: crypto.randomUUID() };
    this.journal = new Journal({
      stateDir,
      owner: this.owner,
      openedAt: os.clock.now(),
      userId: os.userId(),
      warn,
    });
  }

  /** The segment that names one of our records in a cookie. */
  segment(id: string): string {
    return `${this.owner.instance}.${id}`;
  }

  /** The cookie of a new child: the one the host itself carries, extended by ours. */
  cookie(id: string): string {
    return extendCookie(this.#os.environment()[COOKIE_VARIABLE], {
      owner: this.owner.instance,
      id,
    });
  }
}
