import type { Rlimits, TagLimit } from '../os/os.ts';

/**
 * A resource limit without effect, set to a number that names owner and record (Linux).
 *
 * The kernel hands it down through fork and exec, shows it to everyone, and lets nobody raise it
 * without CAP_SYS_RESOURCE. So it stays where a cleared environment, setsid, a double fork or a new
 * title take the cookie away. Nineteen digits: two of the generation, eleven of the owner, six of the
 * record; below 2^63, and a string, as numbers end at 2^53.
 */
const TAG = /^([1-9]\d)(\d{11})(\d{6})$/;

/** Odd: ends with its record. Even: lives on. Each generation is lower, as a limit can only fall. */
const FIRST_LEAD = 91;
const LAST_LEAD = 10;

/** What no tag of ours is read from any more, where the generations have run out. */
const NO_TAG = '0';

/** No limit: the only value above every tag. */
const UNLIMITED = 'unlimited';

/** Tried in this order; each level of nested supervisors takes one. */
export const TAG_LIMITS: readonly TagLimit[] = ['locks', 'rss', 'rttime'];

/** A limit that this host can tag with, and the lead of its tags. */
export interface TagPlace {
  readonly limit: TagLimit;
  readonly lead: number;
}

/** The eleven digits by which an owner is known in tags: the same for the same instance, for everyone. */
export function tagOwner(instance: string): string {
  // FNV-1a of 64 bits: an instance is random, and only has to be spread over the digits.
  let hash = 0xcbf29ce484222325n;
  for (const character of instance)
    hash = ((hash ^ BigInt(character.charCodeAt(0))) * 0x100000001b3n) & 0xffffffffffffffffn;
  return String(hash % 10n ** 11n).padStart(11, '0');
}

/** The millionth record of an owner gets the number of the first again. */
const RECORDS = 1_000_000;

/** The tag of an owner's record. */
export function rlimitTag(lead: number, owner: string, record: number): string {
  return `${lead}${owner}${String(record % RECORDS).padStart(6, '0')}`;
}

/** Whether a limit's value is a tag, of whatever owner. */
export function isTag(value: string): boolean {
  const lead = leadOf(value);
  return lead >= LAST_LEAD && lead <= FIRST_LEAD;
}

/** What a tag proves, as a text that is equal for all who bear it: `tag:OWNER.RECORD`, with `.kept` for what lives on. */
export function tagClaim(tag: string): string {
  const [, lead, owner = '', record] = TAG.exec(tag) ?? [];
  return claimOf(owner, Number(record), Number(lead) % 2 === 0);
}

/** The claim of an owner's record, in whichever generation. */
export function claimOf(owner: string, record: number, kept: boolean): string {
  return `tag:${owner}.${record}${kept ? KEPT : ''}`;
}

const KEPT = '.kept';

/** The number of a record in tags: the one that its id ends with. */
export function recordNumber(id: string): number {
  return Number(/\d{1,15}$/.exec(id)?.[0] ?? 0) % RECORDS;
}

/** The number of the record that a tag names. */
export function recordOfTag(tag: string): number {
  return Number(tag.slice(13));
}

/** Whether a tag says that its process was launched to live on. */
export function isKeptTag(tag: string): boolean {
  return tagClaim(tag).endsWith(KEPT);
}

/**
 * The claims of a process's tags: those of the last generation that was launched to live on and of
 * those after it, or all if none was. A later generation's are lower.
 */
export function claimsOfTags(values: readonly string[]): readonly string[] {
  const tags = values.filter(isTag);
  const lastKept = Math.min(...tags.filter(isKeptTag).map(leadOf));
  return tags.filter((tag) => leadOf(tag) <= lastKept).map(tagClaim);
}

/** Whether a tag is one of this owner's, for what ends with its record. */
export function isTagOf(tag: string, owner: string): boolean {
  return isTag(tag) && tag.slice(2, 13) === owner && !isKeptTag(tag);
}

/**
 * The limits in which a host can tag what it launches, the best one first.
 *
 * A free one takes the first generation. One that says that the host itself was launched to live on
 * goes on below that. A tag that ends with another supervisor's record stays, and so does a limit
 * that somebody has set for reasons of his own.
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
 * The limits of what is launched to live on: every tag that it would inherit is lowered to one that
 * means *kept*, so that no supervisor above takes it for its own.
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

/** `NaN` for what is no tag. */
function leadOf(value: string): number {
  return Number(TAG.exec(value)?.[1]);
}
