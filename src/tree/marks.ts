import type { ProcessEntry } from '../os/os.ts';
import { claimsOf, parseCookie } from './cookie.ts';
import { claimOf, claimsOfTags, isKeptTag, isTag, recordNumber, tagOwner } from './rlimit-tag.ts';

/** What a process shows of whose it is. */
export type Marked = Pick<ProcessEntry, 'cookie' | 'tags'>;

/** What marks the tree of one record: each alone is a proof. */
export interface TreeMarks {
  /** Its segment in the cookies of its descendants (`owner.id`). */
  readonly cookie: string;
  /** The claim of the tags that they inherit; `undefined` without one. */
  readonly tag?: string | undefined;
}

/** The marks of the tree whose segment in cookies this is. */
export function marksOf(segment: string): TreeMarks {
  const [named] = parseCookie(segment);
  if (named === undefined) return { cookie: segment };
  const { owner, id, kept = false } = named;
  return { cookie: segment, tag: claimOf(tagOwner(owner), recordNumber(id), kept) };
}

/** The records that a process answers to, by cookie and by tag. */
export function claimsOfProcess({ cookie, tags = [] }: Marked): readonly string[] {
  return tags.length === 0 ? claimsOf(cookie) : [...claimsOf(cookie), ...claimsOfTags(tags)];
}

/** Whether a process bears one of a tree's marks. */
export function bears(process: Marked, { cookie, tag }: TreeMarks): boolean {
  return claimsOfProcess(process).some((claim) => claim === cookie || claim === tag);
}

/**
 * Whether a process was launched to live on, by this tree's supervisor or by one nested in it. The
 * cookie has the first word, as it tells the whole nesting; where it is silent, the tags have it.
 */
export function isKeptFrom({ cookie, tags = [] }: Marked, tree: TreeMarks): boolean {
  if (claimsOf(cookie).includes(tree.cookie)) return false;
  if (parseCookie(cookie).some((segment) => segment.kept)) return true;
  const isKept = tags.some((tag) => isTag(tag) && isKeptTag(tag));
  return isKept && !(tree.tag !== undefined && claimsOfTags(tags).includes(tree.tag));
}
