/** One supervisor's part of a cookie: the owner and one of its records. */
export interface CookieSegment {
  readonly owner: string;
  readonly id: string;
  /** The process was launched to live on; no search for descendants goes past it. */
  readonly kept?: boolean;
}

/** Suffix in the segment of a process that was launched to live on. */
export const KEPT_SUFFIX = '.kept';
const SEGMENT = /^([\w-]+)\.([\w-]+)(\.kept)?$/;
// Longer than any real nesting (DESIGN: four levels), and short enough to scan quickly.
const MAX_COOKIE_LENGTH = 4096;

/** The text that names one record in a cookie. */
export function cookieSegment({ owner, id, kept = false }: CookieSegment): string {
  return `${owner}.${id}${kept ? KEPT_SUFFIX : ''}`;
}

/** Parses a cookie, outermost supervisor first; returns nothing for an empty or malformed one. */
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

/** The cookie for a new child: the host's own cookie, extended and never replaced. */
export function extendCookie(inherited: string | undefined, segment: CookieSegment): string {
  return [...parseCookie(inherited), segment].map(cookieSegment).join('/');
}

/**
 * The cookie's segments (`owner.id`) that mark a process. These are the last kept segment
 * (`owner.id.kept`) and those after it, or all if none is kept.
 */
export function marksInCookie(cookie: string | undefined): readonly string[] {
  return marksInSegments(parseCookie(cookie));
}

/** The segments of a parsed cookie that mark a process. */
export function marksInSegments(segments: readonly CookieSegment[]): readonly string[] {
  const lastKept = segments.findLastIndex((segment) => segment.kept);
  return segments.slice(Math.max(0, lastKept)).map(cookieSegment);
}

/**
 * The record id of a daemon. Nesting starts again below a daemon: there is only one, so a chain of
 * daemons cannot grow.
 */
export const DAEMON_ID = 'daemon';

/**
 * The number of supervisors above a process: the segments of its cookie, from the last daemon on.
 */
export function depthOf(cookie: string | undefined): number {
  const segments = parseCookie(cookie);
  const daemon = segments.findLastIndex(({ id, kept }) => kept && id === DAEMON_ID);
  return segments.length - Math.max(0, daemon);
}
