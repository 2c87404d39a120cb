import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runs } from '../../../kit/property.ts';
import type { Rlimits, TagLimit } from '../../../src/os/os.ts';
import {
  isKeptTag,
  isTag,
  isTagOf,
  keptLimits,
  markOfTag,
  marksInTags,
  recordNumber,
  recordOfTag,
  rlimitTag,
  TAG_LIMITS,
  tagOwner,
  tagPlaces,
} from '../../../src/tree/rlimit-tag.ts';

const FUZZ = runs(1000);
const OWNER = '12345678901';
const FREE: Rlimits = { locks: 'unlimited', rss: 'unlimited', rttime: 'unlimited' };

const instance = fc.uuid();
const record = fc.nat(2_000_000);

describe('a tag', () => {
  it('names generation, owner and record in nineteen digits', () => {
    expect(rlimitTag(91, OWNER, 7)).toBe('9112345678901000007');
  });

  it('is a number that the kernel stores and returns unchanged', () => {
    fc.assert(
      fc.property(fc.integer({ min: 10, max: 91 }), instance, record, (lead, of, number) => {
        const tag = rlimitTag(lead, tagOwner(of), number);
        expect(BigInt(tag)).toBeLessThan(2n ** 63n);
        expect(isTag(tag)).toBe(true);
        expect(String(BigInt(tag))).toBe(tag);
        expect(isKeptTag(tag)).toBe(lead % 2 === 0);
        expect(isTagOf(tag, tagOwner(of))).toBe(lead % 2 === 1);
        expect(recordOfTag(tag)).toBe(number % 1_000_000);
      }),
      FUZZ,
    );
  });

  it('differs from every other number', () => {
    for (const value of [
      'unlimited',
      '',
      '0',
      '1024',
      '9223372036854775807',
      '0912345678901000007',
    ])
      expect(isTag(value), value).toBe(false);
    fc.assert(
      fc.property(fc.nat().map(String), (value) => {
        expect(isTag(value)).toBe(false);
      }),
      FUZZ,
    );
  });

  it('has the same owner digits on every host that knows the instance, and others for other owners', () => {
    fc.assert(
      fc.property(instance, instance, (a, b) => {
        expect(tagOwner(a)).toMatch(/^\d{11}$/);
        expect(tagOwner(a) === tagOwner(b)).toBe(a === b);
      }),
      FUZZ,
    );
  });

  it.each([
    ['1a2b3c4d-7', 7],
    ['1a2b3c4d-1000007', 7],
    ['daemon', 0],
    ['', 0],
  ])('takes the number at the end of the id %s', (id, number) => {
    expect(recordNumber(id)).toBe(number);
  });
});

describe('the limits that can carry tags', () => {
  it.each<[string, Rlimits, [TagLimit, number][]]>([
    [
      'all are free',
      FREE,
      [
        ['locks', 91],
        ['rss', 91],
        ['rttime', 91],
      ],
    ],
    [
      'a supervisor above has taken one',
      { ...FREE, locks: rlimitTag(91, OWNER, 1) },
      [
        ['rss', 91],
        ['rttime', 91],
      ],
    ],
    [
      'the host itself is kept: the next generation',
      { ...FREE, locks: rlimitTag(90, OWNER, 1) },
      [
        ['locks', 89],
        ['rss', 91],
        ['rttime', 91],
      ],
    ],
    [
      'one that somebody has set is left alone',
      { ...FREE, locks: '1024' },
      [
        ['rss', 91],
        ['rttime', 91],
      ],
    ],
    [
      'the last kept generation has none after it',
      { locks: rlimitTag(10, OWNER, 1), rss: '5', rttime: '0' },
      [],
    ],
    ['none can be read', {}, []],
  ])('%s', (_, own, places) => {
    expect(tagPlaces(own).map(({ limit, lead }) => [limit, lead])).toEqual(places);
  });
});

/** The limits that a host's child inherits: the host's own, except those of its launch. */
const inherit = (own: Rlimits, launch: Rlimits): Rlimits => ({ ...own, ...launch });
const tagsOf = (own: Rlimits): string[] => Object.values(own).filter((value) => isTag(value));

describe('a process that is launched to live on', () => {
  it('has only the mark of its own launch, whatever it would have inherited', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 1, maxLength: 30 }), (chain) => {
        let own = FREE;
        for (const [at, kept] of chain.entries()) {
          const owner = tagOwner(`supervisor-${at}`);
          const [place] = tagPlaces(own);
          const before = marksInTags(tagsOf(own));
          if (kept) {
            const launch = keptLimits(own, place, owner, at);
            for (const [limit, value] of Object.entries(launch)) {
              const was = own[limit as TagLimit] ?? '';
              // Nobody without CAP_SYS_RESOURCE can raise a limit.
              if (was !== 'unlimited') expect(BigInt(value)).toBeLessThan(BigInt(was));
            }
            own = inherit(own, launch);
            const marks = new Set(marksInTags(tagsOf(own)));
            expect([...marks].every((mark) => mark.endsWith('.kept'))).toBe(true);
            expect(marks.size).toBeLessThanOrEqual(1);
          } else if (place !== undefined) {
            own = inherit(own, { [place.limit]: rlimitTag(place.lead, owner, at) });
            const marks = marksInTags(tagsOf(own));
            expect(marks).toContain(markOfTag(rlimitTag(place.lead, owner, at)));
            // The supervisor above still has its mark.
            if (!before.some((mark) => mark.endsWith('.kept')))
              for (const mark of before) expect(marks).toContain(mark);
          }
        }
      }),
      FUZZ,
    );
  });

  it('lives on through forty generations of daemons that agents ensure, then has no tag', () => {
    let own = FREE;
    let generations = 0;
    for (;;) {
      const [place] = tagPlaces(own);
      if (place?.limit !== 'locks') break;
      const agent = inherit(own, { locks: rlimitTag(place.lead, OWNER, generations) });
      own = inherit(agent, keptLimits(agent, tagPlaces(agent)[0], OWNER, generations));
      if (tagsOf(own).length === 0) break;
      generations++;
    }
    expect(generations).toBe(41);
    expect(TAG_LIMITS.map((limit) => own[limit])).not.toContain(rlimitTag(91, OWNER, 0));
  });
});
