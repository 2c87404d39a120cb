import { describe, expect, it } from 'vitest';
import { hasMark, isKeptFrom, marksOf, marksOfProcess } from '../../../src/tree/marks.ts';
import { rlimitTag, tagOwner } from '../../../src/tree/rlimit-tag.ts';

const tagOf = (owner: string, record: number, lead = 91): string =>
  rlimitTag(lead, tagOwner(owner), record);

const HOST = 'host-instance';
const INNER = 'inner-instance';
const DAEMON = 'daemon-nonce';
const tree = marksOf(`${HOST}.abc-7`);
const daemon = marksOf(`${DAEMON}.daemon.kept`);

describe('a process belongs to a record', () => {
  it.each([
    ['by its cookie', { cookie: `${HOST}.abc-7` }, true],
    ['by its tag, without a cookie', { cookie: undefined, tags: [tagOf(HOST, 7)] }, true],
    ['by its tag, with another program’s cookie', { cookie: 'x.y', tags: [tagOf(HOST, 7)] }, true],
    [
      'by the tag of the outer level',
      { cookie: undefined, tags: [tagOf(HOST, 7), tagOf(INNER, 1)] },
      true,
    ],
    ['not by another record’s tag', { cookie: undefined, tags: [tagOf(HOST, 8)] }, false],
    ['not by another owner’s tag', { cookie: undefined, tags: [tagOf(INNER, 7)] }, false],
    ['not by a tag of a kept process', { cookie: undefined, tags: [tagOf(HOST, 7, 90)] }, false],
    ['not by a limit that is no tag', { cookie: undefined, tags: ['9223372036854775807'] }, false],
    [
      'not by marks from before it was launched to live on',
      { cookie: undefined, tags: [tagOf(HOST, 7), tagOf(DAEMON, 0, 90)] },
      false,
    ],
  ])('%s', (_, process, expected) => {
    expect(hasMark(process, tree)).toBe(expected);
  });

  it('that was let go has the mark of one that was launched to live on', () => {
    const process = { cookie: `${HOST}.abc-7`, tags: [tagOf(HOST, 7, 90)] };
    expect(hasMark(process, tree)).toBe(false);
    expect(hasMark(process, marksOf(`${HOST}.abc-7.kept`))).toBe(true);
  });

  it('has all the marks in its cookie and tags', () => {
    const process = { cookie: `${HOST}.abc-7/${INNER}.def-1`, tags: [tagOf(INNER, 1)] };
    const inner = marksOf(`${INNER}.def-1`);
    expect(marksOfProcess(process)).toEqual([tree.cookie, inner.cookie, inner.tag]);
  });
});

describe('a process is kept from a tree', () => {
  it.each([
    ['if its cookie says so', { cookie: `${HOST}.abc-7/${DAEMON}.daemon.kept` }, true],
    ['if only its tag says so', { cookie: undefined, tags: [tagOf(DAEMON, 0, 90)] }, true],
    [
      'if its cookie says so, although it could not get a lower tag',
      { cookie: `${HOST}.abc-7/${DAEMON}.daemon.kept`, tags: [tagOf(HOST, 7)] },
      true,
    ],
    [
      'if it was let go: its tag says so, its cookie cannot',
      { cookie: `${HOST}.abc-7`, tags: [tagOf(HOST, 7, 90)] },
      true,
    ],
    [
      'if a supervisor below has let it go',
      { cookie: `${HOST}.abc-7/${INNER}.def-1`, tags: [tagOf(INNER, 1, 90), tagOf(INNER, 1, 90)] },
      true,
    ],
    [
      'not if another record of the supervisor below was let go',
      { cookie: `${HOST}.abc-7/${INNER}.def-2`, tags: [tagOf(INNER, 1, 90)] },
      false,
    ],
    ['not if it has the tree’s cookie', { cookie: `${HOST}.abc-7` }, false],
    ['not if it has the tree’s tag', { cookie: undefined, tags: [tagOf(HOST, 7)] }, false],
    ['not if it has no marks', { cookie: undefined }, false],
    [
      'not if it is an agent of a supervisor in the daemon, for that supervisor',
      { cookie: undefined, tags: [tagOf(HOST, 7, 89), tagOf(DAEMON, 0, 90)] },
      false,
    ],
  ])('%s', (_, process, expected) => {
    expect(isKeptFrom(process, tree)).toBe(expected);
  });

  it.each([
    ['by its cookie', { cookie: `${DAEMON}.daemon.kept/${HOST}.abc-7` }],
    ['by its tag', { cookie: undefined, tags: [tagOf(DAEMON, 0, 90)] }],
  ])('but a daemon is never kept from its own tree: %s', (_, process) => {
    expect(isKeptFrom(process, daemon)).toBe(false);
    expect(hasMark(process, daemon)).toBe(true);
  });
});
