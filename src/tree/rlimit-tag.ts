import type { Rlimits, TagLimit } from '../os/os.ts';

/**
 * A tag: a resource limit without effect, set to a number that names owner and record (Linux).
 *
 * The kernel keeps it through fork and exec, shows it to everyone, and lets nobody raise it without
 * CAP_SYS_RESOURCE. So it survives a cleared environment, setsid, a double fork or a new title,
 * which remove the cookie. It has nineteen digits: two of the generation, eleven of the owner, six
 * of the record. It is below 2^63, and a string, since exact JavaScript numbers end at 2^53.
 */
const TAG = /^([1-9]\d)(\d{11})(\d{6})$/;

/**
 * Odd: ends with its record. Even: lives on. Each generation is lower, since a limit can only fall.
 */
const FIRST_LEAD = 91;
const LAST_LEAD = 10;

/** Written when the generations have run out; no tag is read from it. */
const NO_TAG = '0';

/** No limit: the only value above every tag. */
const UNLIMITED = 'unlimited';

/** The limits to try, in this order; each level of nested supervisors takes one. */
export const TAG_LIMITS: readonly TagLimit[] = ['locks', 'rss', 'rttime'];

/** A limit that this host can use for tags, and the leading digits of its tags. */
export interface TagPlace {
  readonly limit: TagLimit;
  readonly lead: number;
}

/**
 * An owner's eleven digits in tags, derived from its instance, so that every host computes the
 * same.
 */
export function tagOwner(instance: string): string {
  // FNV-1a with 64 bits: the instance is random and only has to be spread over the digits.
  let hash = 0xcbf29ce484222325n;
  for (const character of instance)
    hash = ((hash ^ BigInt(character.charCodeAt(0))) * 0x100000001b3n) & 0xffffffffffffffffn;
  return String(hash % 10n ** 11n).padStart(11, '0');
}

/** The owner in a tag that is only tried: a sweep takes no program with it for a stray. */
export const NO_OWNER = '0'.repeat(11);

/** Record numbers repeat after a million. */
const RECORDS = 1_000_000;

/** The tag of an owner's record. */
export function rlimitTag(lead: number, owner: string, record: number): string {
  return `${lead}${owner}${String(record % RECORDS).padStart(6, '0')}`;
}

/** True if a limit's value is a tag, of any owner. */
export function isTag(value: string): boolean {
  const lead = leadOf(value);
  return lead >= LAST_LEAD && lead <= FIRST_LEAD;
}

/**
 * The mark that a tag stands for: `tag:OWNER.RECORD`, with `.kept` for processes that live on. All
 * processes with the tag have the same mark.
 */
export function markOfTag(tag: string): string {
  const [, lead, owner = '', record] = TAG.exec(tag) ?? [];
  return recordMark(owner, Number(record), Number(lead) % 2 === 0);
}

/** The mark of an owner's record, in any generation. */
export function recordMark(owner: string, record: number, kept: boolean): string {
  return `tag:${owner}.${record}${kept ? KEPT : ''}`;
}

const KEPT = '.kept';

/** A record's number in tags: the digits at the end of its id. */
export function recordNumber(id: string): number {
  return Number(/\d{1,15}$/.exec(id)?.[0] ?? 0) % RECORDS;
}

/** The record number in a tag. */
export function recordOfTag(tag: string): number {
  return Number(tag.slice(13));
}

/** True if a tag says that its process was launched to live on. */
export function isKeptTag(tag: string): boolean {
  return markOfTag(tag).endsWith(KEPT);
}

/**
 * The marks in a process's tags. They are those of the last generation that was launched to live on
 * and of later ones, or all if there is none. Later generations have lower leading digits.
 */
export function marksInTags(values: readonly string[]): readonly string[] {
  const tags = values.filter(isTag);
  const lastKept = Math.min(...tags.filter(isKeptTag).map(leadOf));
  return tags.filter((tag) => leadOf(tag) <= lastKept).map(markOfTag);
}

/** True if a tag is one of this owner's, for a process that ends with its record. */
export function isTagOf(tag: string, owner: string): boolean {
  return isTag(tag) && tag.slice(2, 13) === owner && !isKeptTag(tag);
}

/**
 * The limits in which a host can tag its children, the best one first.
 *
 * An unlimited one takes the first generation. A tag that says that the host itself was launched to
 * live on is continued with the next generation. A tag that ends with another supervisor's record
 * stays, and so does a limit that was set for another reason.
 */
export function tagPlaces(own: Rlimits): readonly TagPlace[] {
  return TAG_LIMITS.flatMap((limit) => {
    const value = own[limit];
    if (value === UNLIMITED) return [{ limit, lead: FIRST_LEAD }];
    if (value === undefined || !isTag(value) || !isKeptTag(value)) return [];
    const lead = leadOf(value) - 1;
    return lead > LAST_LEAD ? [{ limit, lead }] : [];
  });
}

/**
 * The limits for a process that is launched to live on. Every tag that it would inherit is lowered
 * to one that means *kept*, so that no supervisor above counts it as its own.
 */
export function keptLimits(
  own: Rlimits,
  place: TagPlace | undefined,
  owner: string,
  record: number,
): Rlimits {
  const tagged = TAG_LIMITS.filter((limit) => isTag(own[limit] ?? ''));
  const leads = tagged.map((limit) => leadOf(own[limit] ?? ''));
  const below = Math.min(FIRST_LEAD, ...leads) - 1;
  const lead = below - (below % 2);
  const tag = lead < LAST_LEAD ? NO_TAG : rlimitTag(lead, owner, record);
  const limits = new Set([...tagged, ...(place === undefined ? [] : [place.limit])]);
  return Object.fromEntries([...limits].map((limit) => [limit, tag]));
}

/** `NaN` for a value that is no tag. */
function leadOf(value: string): number {
  return Number(TAG.exec(value)?.[1]);
}
