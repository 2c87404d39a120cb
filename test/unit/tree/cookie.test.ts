import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { damaged } from '../../../kit/damage.ts';
import { runs } from '../../../kit/property.ts';
import {
  type CookieSegment,
  cookieSegment,
  depthOf,
  extendCookie,
  marksInCookie,
  parseCookie,
} from '../../../src/tree/cookie.ts';

const FUZZ = runs(1000);

const name = fc.stringMatching(/^[\w-]{1,24}$/);
const segment = fc.record({ owner: name, id: name, kept: fc.boolean() });
const segments = fc.array(segment, { minLength: 1, maxLength: 6 });
const join = (list: readonly CookieSegment[]) => list.map(cookieSegment).join('/');

describe('parseCookie', () => {
  it.each([
    ['one segment', 'o1.r1', [{ owner: 'o1', id: 'r1', kept: false }]],
    ['a kept segment', 'o1.r1.kept', [{ owner: 'o1', id: 'r1', kept: true }]],
    [
      'a nested supervisor',
      'o1.r1/o2.abc-7',
      [
        { owner: 'o1', id: 'r1', kept: false },
        { owner: 'o2', id: 'abc-7', kept: false },
      ],
    ],
    ['no cookie', undefined, []],
    ['an empty cookie', '', []],
    ['a separator alone', '/', []],
    ['an empty segment', 'o1.r1/', []],
    ['a segment without an id', 'o1', []],
    ['an empty owner', '.r1', []],
    ['an empty id', 'o1.', []],
    ['a malformed segment among good ones', 'o1.r1/x y.r2', []],
    ['an unknown suffix', 'o1.r1.lost', []],
    ['a line break', 'o1.r1\n', []],
    ['a wildcard', '*.*', []],
    ['letters that only look like ASCII', 'о1.r1', []],
  ])('reads %s', (_what, cookie, expected) => {
    expect(parseCookie(cookie)).toEqual(expected);
  });

  it('reads back the written segments, in order', () => {
    fc.assert(
      fc.property(segments, (list) => {
        expect(parseCookie(join(list))).toEqual(list);
      }),
      FUZZ,
    );
  });

  it('accepts any junk without throwing, and never finds a segment that is not there', () => {
    const junk = fc.oneof(
      fc.string(),
      fc.string({ unit: 'binary' }),
      fc.array(fc.constantFrom('o', '.', '/', '.kept', ' ', '-', '\0')).map((all) => all.join('')),
    );
    fc.assert(
      fc.property(junk, (cookie) => {
        const found = parseCookie(cookie);
        // All or nothing.
        if (found.length > 0) expect(join(found)).toBe(cookie);
      }),
      FUZZ,
    );
  });

  it('reads a damaged cookie as a whole or not at all', () => {
    fc.assert(
      fc.property(damaged(segments.map(join)), (bytes) => {
        const cookie = bytes.toString('latin1');
        const found = parseCookie(cookie);
        if (found.length > 0) expect(join(found)).toBe(cookie);
        expect(depthOf(cookie)).toBeLessThanOrEqual(found.length);
        const marks = marksInCookie(cookie);
        expect(found.map(cookieSegment).slice(found.length - marks.length)).toEqual(marks);
      }),
      FUZZ,
    );
  });

  it('reads a cookie of 4096 characters, and none that is longer', () => {
    const longest = `o1.${'r'.repeat(4093)}`;
    expect(parseCookie(longest)).toHaveLength(1);
    expect(parseCookie(`${longest}r`)).toEqual([]);
  });

  it('ignores a cookie that is absurdly long', () => {
    const long = Array.from({ length: 1000 }, (_, index) => `o${index}.r`).join('/');
    expect(long.length).toBeGreaterThan(4096);
    expect(parseCookie(long)).toEqual([]);
    expect(marksInCookie(long)).toEqual([]);
  });
});

describe('extendCookie', () => {
  it("extends the host's own cookie, and never replaces it", () => {
    fc.assert(
      fc.property(segments, segment, (inherited, own) => {
        expect(extendCookie(join(inherited), own)).toBe(`${join(inherited)}/${cookieSegment(own)}`);
      }),
      FUZZ,
    );
  });

  it("makes a cookie that names its own segment, whatever the host's own cookie", () => {
    fc.assert(
      fc.property(damaged(segments.map(join)), segment, (bytes, own) => {
        const inherited = bytes.toString('latin1');
        const cookie = extendCookie(inherited, own);
        expect(parseCookie(cookie)).toEqual([...parseCookie(inherited), own]);
        expect(marksInCookie(cookie).at(-1)).toBe(cookieSegment(own));
      }),
      FUZZ,
    );
  });

  it.each([undefined, '', 'junk', 'a.b/'])('starts anew after %j', (inherited) => {
    expect(extendCookie(inherited, { owner: 'o2', id: 'r2' })).toBe('o2.r2');
  });

  it('makes every supervisor on the way an owner of the child', () => {
    const cookie = extendCookie(extendCookie('o1.r1', { owner: 'o2', id: 'r2' }), {
      owner: 'o3',
      id: 'r3',
    });
    expect(marksInCookie(cookie)).toEqual(['o1.r1', 'o2.r2', 'o3.r3']);
  });
});

describe('marksInCookie', () => {
  it.each([
    ['nothing', undefined, []],
    ['every segment', 'o1.r1/o2.r2', ['o1.r1', 'o2.r2']],
    ['a kept process as kept', 'o1.r1.kept', ['o1.r1.kept']],
    ['nothing before a kept process', 'o1.r1/o2.r2.kept', ['o2.r2.kept']],
    ['the segments after a kept process', 'o1.r1/o2.r2.kept/o3.r3', ['o2.r2.kept', 'o3.r3']],
    [
      'only segments from the last kept one on',
      'o1.r1.kept/o2.r2/o3.r3.kept/o4.r4',
      ['o3.r3.kept', 'o4.r4'],
    ],
  ])('returns %s', (_what, cookie, expected) => {
    expect(marksInCookie(cookie)).toEqual(expected);
  });

  it('returns nothing before a kept segment, which it returns as kept', () => {
    fc.assert(
      fc.property(segments, (list) => {
        const after = list.slice(
          Math.max(
            0,
            list.findLastIndex(({ kept }) => kept),
          ),
        );
        expect(marksInCookie(join(list))).toEqual(after.map(cookieSegment));
      }),
      FUZZ,
    );
  });
});

describe('depthOf', () => {
  it.each([
    [undefined, 0],
    ['', 0],
    ['what/ever', 0],
    ['a.1', 1],
    ['a.1/b.2', 2],
    ['a.1/b.2.kept', 2],
    ['a.1/b.2.kept/c.3', 3],
    ['a.1/b.2/d.daemon.kept', 1],
    ['a.1/b.2/d.daemon.kept/c.3', 2],
    ['d.daemon.kept/a.1/e.daemon.kept/b.2/c.3', 3],
    ['a.1/d.daemon', 2],
  ])('%s: %i', (cookie, depth) => {
    expect(depthOf(cookie)).toBe(depth);
  });
});
