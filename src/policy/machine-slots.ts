// The slots that all hosts of a machine share: the rule of who is next.

/** A request as the machine's slots see it. */
export interface MachineRequest {
  /** The beginning of its wait, on the monotonic clock of its host. */
  readonly sinceMs: number;
  readonly request: {
    /** The process that asks; `undefined` for a lease. */
    readonly id?: string | undefined;
    readonly sessionId: string | undefined;
  };
}

/** The right to run one process on this machine. */
export interface MachineSlot {
  /** Gives the slot back; safe to call again. */
  release(): void;
}

/** The machine's slots, as one host asks for them. */
export interface MachineSlots {
  /** Takes a slot in this tick, or returns `undefined`: none is free, or another host has waited longer. */
  take(request: MachineRequest): MachineSlot | undefined;
  /**
   * Tells the other hosts which requests wait for nothing but a slot of the machine.
   *
   * `retry` is called, again and again, when it may be worth asking again.
   */
  await(requests: readonly MachineRequest[], retry: () => void): void;
  /** The reason why the last request got no slot, as a clause. */
  readonly obstacle: string | undefined;
}

/** A host's share of the machine, as it tells the others. */
export interface HostShare {
  readonly instance: string;
  /** The number of slots that it has been told. */
  readonly limit: number;
  readonly held: number;
  /** When its requests began to wait, in ms since the machine's boot. */
  readonly waitingSinceMs: readonly number[];
  /** When it has last looked after them, in ms since the machine's boot. */
  readonly seenMs: number;
}

/** A host's share as its file has it. */
interface SharedWord extends Pick<HostShare, 'limit' | 'held' | 'seenMs'> {
  readonly owner: { readonly instance: string };
  readonly waiting: readonly { readonly sinceBootMs: number }[];
}

export function shareOf({ owner, waiting, limit, held, seenMs }: SharedWord): HostShare {
  const waitingSinceMs = waiting.map(({ sinceBootMs }) => sinceBootMs);
  return { instance: owner.instance, limit, held, waitingSinceMs, seenMs };
}

/** Time after which a host that waits and no longer asks loses its turn until it asks again, in ms. */
export const TURN_MS = 2000;

/** The number of a host that names none. Files hold no infinity. */
export const NO_LIMIT: number = Number.MAX_SAFE_INTEGER;

/** The number of slots: hosts that name different numbers get the smallest. */
export function limitOf(shares: readonly HostShare[]): number {
  return Math.min(...shares.map(({ limit }) => limit));
}

export function heldOf(shares: readonly HostShare[]): number {
  return shares.reduce((sum, { held }) => sum + held, 0);
}

/** Tells that a host waits, and does not ask: it is stopped, or its event loop is blocked. */
export function missesTurn({ seenMs }: Pick<HostShare, 'seenMs'>, nowMs: number): boolean {
  // A time to come is no proof of a recent look.
  return Math.abs(nowMs - seenMs) > TURN_MS;
}

/** A host's place in the queue: the moment since which it waits. */
export interface Place {
  readonly instance: string;
  readonly sinceMs: number;
}

/** Counts the requests of other hosts that have waited longer, and can take a slot. */
export function countAhead(
  { instance, sinceMs }: Place,
  shares: readonly HostShare[],
  nowMs: number,
): number {
  let ahead = 0;
  for (const share of shares) {
    if (share.instance === instance || missesTurn(share, nowMs)) continue;
    // Of two that came at once, all hosts name the same one first.
    const isEarlier = (since: number) =>
      since < sinceMs || (since === sinceMs && share.instance < instance);
    ahead += share.waitingSinceMs.filter(isEarlier).length;
  }
  return ahead;
}

/** Tells whether a host may take a slot now: each request that has waited longer has a free one left. */
export function mayTake(place: Place, shares: readonly HostShare[], nowMs: number): boolean {
  return countAhead(place, shares, nowMs) < limitOf(shares) - heldOf(shares);
}
