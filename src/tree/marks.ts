import type { ProcessEntry } from '../os/os.ts';
import { type CookieSegment, marksInCookie, marksInSegments, parseCookie } from './cookie.ts';
import {
  isKeptTag,
  isTag,
  markOfTag,
  marksInTags,
  recordMark,
  recordNumber,
  tagOwner,
} from './rlimit-tag.ts';

/** The parts of a process that show its owner. */
export type Marked = Pick<ProcessEntry, 'cookie' | 'tags'>;

/** The marks on the processes of one record's tree; each alone is a proof. */
export interface TreeMarks {
  /** The record's segment in the cookies of its descendants (`owner.id`). */
  readonly cookie: string;
  /** The mark in the tags that descendants inherit; `undefined` without tags. */
  readonly tag?: string | undefined;
}

/** The marks of the tree with this segment in its cookies. */
export function marksOf(segment: string): TreeMarks {
  const [named] = parseCookie(segment);
  if (named === undefined) return { cookie: segment };
  const { owner, id, kept = false } = named;
  return { cookie: segment, tag: recordMark(tagOwner(owner), recordNumber(id), kept) };
}

/**
 * The segments of a process's cookie. One whose record was let go counts as kept: the process cannot change
 * its cookie, but its tag was lowered.
 */
function segmentsOf({ cookie, tags = [] }: Marked): readonly CookieSegment[] {
  const segments = parseCookie(cookie);
  const kept = tags.filter((tag) => isTag(tag) && isKeptTag(tag)).map(markOfTag);
  if (kept.length === 0) return segments;
  return segments.map((segment) => {
    const { owner, id } = segment;
    const isLetGo = kept.includes(recordMark(tagOwner(owner), recordNumber(id), true));
    return isLetGo ? { owner, id, kept: true } : segment;
  });
}

/** The marks in a process's cookie, as far as its tags leave them in force. */
export function cookieMarksOf(process: Marked): readonly string[] {
  return marksInSegments(segmentsOf(process));
}

/** The marks of all records that a process belongs to, by cookie and by tag. */
export function marksOfProcess(process: Marked): readonly string[] {
  const { cookie, tags = [] } = process;
  return tags.length === 0
    ? marksInCookie(cookie)
    : [...cookieMarksOf(process), ...marksInTags(tags)];
}

/** True if a process has one of a tree's marks. */
export function hasMark(process: Marked, { cookie, tag }: TreeMarks): boolean {
  return marksOfProcess(process).some((mark) => mark === cookie || mark === tag);
}

/**
 * True if a process was launched to live on, by this tree's supervisor or by one nested in it. The
 * cookie decides first, since it tells the whole nesting; the tags decide if it says nothing.
 */
export function isKeptFrom(process: Marked, tree: TreeMarks): boolean {
  const { tags = [] } = process;
  const segments = segmentsOf(process);
  if (marksInSegments(segments).includes(tree.cookie)) return false;
  if (segments.some((segment) => segment.kept)) return true;
  const isKept = tags.some((tag) => isTag(tag) && isKeptTag(tag));
  return isKept && !(tree.tag !== undefined && marksInTags(tags).includes(tree.tag));
}
