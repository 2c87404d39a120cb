import type { Clock } from '../os/clock.ts';

/** A span of time that began at a moment which other processes can read. */
export interface Span {
  /** Wall clock, ms since 1970. */
  readonly at: number;
  readonly bootId: string;
  readonly sinceBootMs: number;
  readonly forMs: number;
}

/** The rest of a span in ms: by the clock since boot within one boot, else by the wall clock. */
export function timeLeftMs(
  { at, bootId, sinceBootMs, forMs }: Span,
  ownBootId: string,
  clock: Pick<Clock, 'now' | 'sinceBootMs'>,
): number {
  const isThisBoot = bootId !== '' && bootId === ownBootId;
  const sinceMs = isThisBoot ? clock.sinceBootMs() - sinceBootMs : clock.now() - at;
  return forMs - Math.max(0, sinceMs);
}
