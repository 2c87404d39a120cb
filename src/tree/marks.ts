import type { ProcessEntry } from '../os/os.ts';
import { marksInCookie, parseCookie } from './cookie.ts';
import { isKeptTag, isTag, marksInTags, recordMark, recordNumber, tagOwner } from './rlimit-tag.ts';

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

/** The marks of all records that a process belongs to, by cookie and by tag. */
export function marksOfProcess({ cookie, tags = [] }: Marked): readonly string[] {
  return tags.length === 0
    ? marksInCookie(cookie)
    : [...marksInCookie(cookie), ...marksInTags(tags)];
}

/** True if a process has one of a tree's marks. */
export function hasMark(process: Marked, { cookie, tag }: TreeMarks): boolean {
  return marksOfProcess(process).some((mark) => mark === cookie || mark === tag);
}

/**
 * True if a process was launched to live on, by this tree's supervisor or by one nested in it. The
 * cookie decides first, since it tells the whole nesting; the tags decide if it says nothing.
 */
export function isKeptFrom({ cookie, tags = [] }: Marked, tree: TreeMarks): boolean {
  if (marksInCookie(cookie).includes(tree.cookie)) return false;
  if (parseCookie(cookie).some((segment) => segment.kept)) return true;
  const isKept = tags.some((tag) => isTag(tag) && isKeptTag(tag));
  return isKept && !(tree.tag !== undefined && marksInTags(tags).includes(tree.tag));
}
