import type { Os } from '../os/os.ts';
import {
  countAhead,
  type HostShare,
  heldOf,
  limitOf,
  NO_LIMIT,
  type Place,
  shareOf,
} from '../policy/machine-slots.ts';
import type { HostShareFile } from '../store/formats.ts';
import { type FoundShare, readShares } from '../store/host-share.ts';
import { slotSetHash } from '../store/layout.ts';
import { hasJournal } from './dead-shares.ts';

/** The share of a host whose file is torn: perhaps all slots. */
const UNREADABLE: Omit<HostShare, 'instance'> = {
  limit: NO_LIMIT,
  held: NO_LIMIT,
  waitingSinceMs: [],
  seenMs: 0,
};

/** The shares of all hosts in one set of slots, at one moment. */
export class MachineLook {
  readonly shares: readonly HostShare[];
  readonly #own: HostShareFile;
  readonly #found: readonly FoundShare[];

  /** `own`: this host's word, which stands for its file. `dead`: owners that wait no more. */
  constructor(
    own: HostShareFile,
    dead: ReadonlySet<string>,
    { os, stateDir }: { readonly os: Pick<Os, 'userId'>; readonly stateDir: string },
  ) {
    this.#own = own;
    const { instance } = own.owner;
    this.#found = readShares(stateDir, os, slotSetHash(own.owner, own.kind), instance);
    const others = this.#found
      .filter(({ owner }) => owner !== instance)
      .flatMap((found) => countedAs(found, dead, stateDir) ?? []);
    this.shares = [shareOf(own), ...others];
  }

  get isFull(): boolean {
    return heldOf(this.shares) >= limitOf(this.shares);
  }

  /** True if this host's file is there, and all hosts together hold no more than there is. */
  get isWithin(): boolean {
    const isTold = this.#found.some(({ owner }) => owner === this.#own.owner.instance);
    return isTold && heldOf(this.shares) <= limitOf(this.shares);
  }

  /** The numbers of other hosts that are not this host's. */
  get otherNumbers(): {
    readonly instance: string;
    readonly limit: number;
    readonly name: string;
  }[] {
    const { limit: own } = this.#own;
    return this.shares
      .filter(({ limit }) => limit !== own && limit !== NO_LIMIT && own !== NO_LIMIT)
      .map(({ instance, limit }) => ({ instance, limit, name: this.#nameOf(instance) }));
  }

  /** The reason why a host gets no slot now, as a clause. */
  obstacleOf(place: Place, nowMs: number): string {
    const { kind } = this.#own;
    const those = kind === undefined ? 'of this machine' : `for kind "${kind}"`;
    const holders = this.shares.filter(({ held }) => held > 0);
    const names = holders.map(({ instance }) => this.#nameOf(instance)).join('; ');
    return this.isFull
      ? `all ${limitOf(this.shares)} slots ${those} are held: ${names}`
      : `${countAhead(place, this.shares, nowMs)} requests of other hosts have waited longer`;
  }

  #nameOf(instance: string): string {
    const { owner: self } = this.#own;
    const found = this.#found.find((one) => one.owner === instance);
    const owner = instance === self.instance ? self : found?.share?.owner;
    return owner === undefined ? `host ${instance}` : `pid ${owner.pid} on ${owner.machine}`;
  }
}

function countedAs(
  { owner, share }: FoundShare,
  dead: ReadonlySet<string>,
  stateDir: string,
): HostShare | undefined {
  // A live host writes a torn file anew; without a journal, no host can have written it.
  if (share === undefined)
    return hasJournal(stateDir, owner) ? { ...UNREADABLE, instance: owner } : undefined;
  const counted = shareOf(share);
  return dead.has(owner) ? { ...counted, limit: NO_LIMIT, waitingSinceMs: [] } : counted;
}
