/** One supervisor's mark in a cookie: which owner, and which of its records. */
export interface CookieSegment {
  readonly owner: string;
  readonly id: string;
  /** The process is meant to live on: no scan and no closure goes past it. */
  readonly kept?: boolean;
}

/** Ends the segment of a process that is meant to live on. */
export const KEPT_SUFFIX = '.kept';
const SEGMENT = /^([\w-]+)\.([\w-]+)(\.kept)?$/;
// Longer than any real nesting (DESIGN: four levels), shorter than what could slow a scan.
const MAX_COOKIE_LENGTH = 4096;

/** The text that names one record in a cookie. */
export function cookieSegment({ owner, id, kept = false }: CookieSegment): string {
  return `${owner}.${id}${kept ? KEPT_SUFFIX : ''}`;
}

/**
 * Reads a cookie, outermost supervisor first; empty for one that is empty or malformed anywhere.
 */
export function parseCookie(cookie: string | undefined): readonly CookieSegment[] {
  if (cookie === undefined || cookie.length > MAX_COOKIE_LENGTH) return [];
  const segments: CookieSegment[] = [];
  for (const part of cookie.split('/')) {
    const [, owner, id, kept] = SEGMENT.exec(part) ?? [];
    if (owner === undefined || id === undefined) return [];
    segments.push({ owner, id, kept: kept !== undefined });
  }
  return segments;
}

/** The cookie for a new child: what the host itself carries, extended, never replaced. */
export function extendCookie(inherited: string | undefined, segment: CookieSegment): string {
  return [...parseCookie(inherited), segment].map(cookieSegment).join('/');
}

/**
 * The segments (`owner.id`) that a process answers to: the last kept one (`owner.id.kept`) and those
 * after it, or all if none is kept.
 */
export function claimsOf(cookie: string | undefined): readonly string[] {
  const segments = parseCookie(cookie);
  const lastKept = segments.findLastIndex((segment) => segment.kept);
  return segments.slice(Math.max(0, lastKept)).map(cookieSegment);
}

/** Marks a daemon: there is one of it, whoever starts it, so that no chain of them can be without end. */
export const DAEMON_ID = 'daemon';

/** How many supervisors a process is below: as many as its cookie names, from the last daemon on. */
export function depthOf(cookie: string | undefined): number {
  const segments = parseCookie(cookie);
  const daemon = segments.findLastIndex(({ id, kept }) => kept && id === DAEMON_ID);
  return segments.length - Math.max(0, daemon);
}
