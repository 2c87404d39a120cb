import { describe, expect, it } from 'vitest';
import { bears, claimsOfProcess, isKeptFrom, marksOf } from '../../../src/tree/marks.ts';
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
    [
      'not by a tag that says that it lives on',
      { cookie: undefined, tags: [tagOf(HOST, 7, 90)] },
      false,
    ],
    ['not by a limit that is no tag', { cookie: undefined, tags: ['9223372036854775807'] }, false],
    [
      'not by what it bore before it was launched to live on',
      { cookie: undefined, tags: [tagOf(HOST, 7), tagOf(DAEMON, 0, 90)] },
      false,
    ],
  ])('%s', (_, process, expected) => {
    expect(bears(process, tree)).toBe(expected);
  });

  it('answers to all that its marks name', () => {
    const process = { cookie: `${HOST}.abc-7/${INNER}.def-1`, tags: [tagOf(INNER, 1)] };
    const inner = marksOf(`${INNER}.def-1`);
    expect(claimsOfProcess(process)).toEqual([tree.cookie, inner.cookie, inner.tag]);
  });
});

describe('a process is kept from a tree', () => {
  it.each([
    ['whose cookie says so', { cookie: `${HOST}.abc-7/${DAEMON}.daemon.kept` }, true],
    ['whose tag alone says so', { cookie: undefined, tags: [tagOf(DAEMON, 0, 90)] }, true],
    [
      'whose cookie says so, though it could not be given a lower tag',
      { cookie: `${HOST}.abc-7/${DAEMON}.daemon.kept`, tags: [tagOf(HOST, 7)] },
      true,
    ],
    ['not one that bears the tree’s cookie', { cookie: `${HOST}.abc-7` }, false],
    ['not one that bears the tree’s tag', { cookie: undefined, tags: [tagOf(HOST, 7)] }, false],
    ['not one that bears nothing', { cookie: undefined }, false],
    [
      'not an agent of a supervisor in the daemon, from that supervisor',
      { cookie: undefined, tags: [tagOf(HOST, 7, 89), tagOf(DAEMON, 0, 90)] },
      false,
    ],
  ])('%s', (_, process, expected) => {
    expect(isKeptFrom(process, tree)).toBe(expected);
  });

  it.each([
    ['by its cookie', { cookie: `${DAEMON}.daemon.kept/${HOST}.abc-7` }],
    ['by its tag', { cookie: undefined, tags: [tagOf(DAEMON, 0, 90)] }],
  ])('but never from its own: a daemon’s, %s', (_, process) => {
    expect(isKeptFrom(process, daemon)).toBe(false);
    expect(bears(process, daemon)).toBe(true);
  });
});
