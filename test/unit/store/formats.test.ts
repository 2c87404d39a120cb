import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runs } from '../../../kit/property.ts';
import {
  FORMAT_VERSION,
  type JournalHeader,
  parseChange,
  parseConversationLock,
  parseHeader,
  parseNote,
  parseOrder,
  parseSessionLine,
  parseSpendLine,
  type SupervisionRecord,
} from '../../../src/store/formats.ts';
import { parseJson } from '../../../src/store/jsonl.ts';

const FUZZ = runs(1000);

const HEADER: JournalHeader = {
  version: FORMAT_VERSION,
  owner: {
    instance: 'AbCdEfGh_-12',
    pid: 4242,
    startTime: '123456',
    machine: 'machine',
    bootId: 'b0b0b0b0-0000-4000-8000-000000000000',
    pidNamespace: 'pid:[4026531836]',
  },
  openedAt: 1795392634000,
};

const RECORD: SupervisionRecord = {
  id: 'ab12cd34-1',
  pid: 4243,
  startTime: '123460',
  bootId: HEADER.owner.bootId,
  pidNamespace: HEADER.owner.pidNamespace,
  group: true,
  kind: 'agent',
  sessionId: 'session 1',
  command: 'claude',
  cwd: '/srv/agents',
  startedAt: 1795392634567,
};

const word = (minLength: number, maxLength: number) => fc.string({ minLength, maxLength });
const id = fc.stringMatching(/^[\w-]{1,64}$/);
const pid = fc.integer({ min: 2, max: 2 ** 22 });
const identity = {
  startTime: fc.option(word(1, 32), { nil: undefined }),
  bootId: word(0, 64),
  pidNamespace: word(0, 64),
};
const record = fc.record({
  id,
  pid,
  ...identity,
  group: fc.boolean(),
  kind: word(0, 256),
  sessionId: fc.option(word(0, 1024), { nil: undefined }),
  command: word(0, 256),
  cwd: word(0, 4096),
  startedAt: fc.integer(),
});
const header = fc.record({
  version: fc.constant(FORMAT_VERSION),
  owner: fc.record({
    instance: fc.stringMatching(/^[\w-]{8,64}$/),
    machine: word(0, 256),
    pid: fc.integer({ min: 1, max: 2 ** 22 }),
    ...identity,
  }),
  openedAt: fc.integer(),
});

/** What a journal does to everything it holds. */
const throughFile = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

describe('the journal format', () => {
  it('is version 1', () => {
    expect(FORMAT_VERSION).toBe(1);
  });

  it('reads back every header and change that can be written', () => {
    fc.assert(
      fc.property(header, record, (head, add) => {
        expect(parseHeader(throughFile(head))).toEqual(throughFile(head));
        expect(parseChange(throughFile({ add }))).toEqual(throughFile({ add }));
        expect(parseChange({ remove: add.id })).toEqual({ remove: add.id });
      }),
      FUZZ,
    );
  });

  it('takes any junk without throwing', () => {
    const junk = fc.oneof(fc.anything(), fc.jsonValue());
    fc.assert(
      fc.property(junk, (value) => {
        expect(parseHeader(value)).toBeUndefined();
        expect(parseChange(value)).toBeUndefined();
      }),
      FUZZ,
    );
  });

  it('takes of a changed line what is in it, or nothing', () => {
    const fields = [
      'add',
      'remove',
      'version',
      'owner',
      ...Object.keys(RECORD),
      ...Object.keys(HEADER.owner),
    ];
    const value = fc.oneof(
      fc.jsonValue(),
      fc.constantFrom(-1, 0, 1, 2 ** 22 + 1, 1e308, '', 'a/b'),
    );
    const edits = fc.array(fc.tuple(fc.constantFrom(...fields), value, fc.boolean()), {
      maxLength: 3,
    });
    const line = fc.oneof(
      header,
      record.map((add) => ({ add })),
      fc.record({ remove: id }),
    );
    fc.assert(
      fc.property(line, edits, (whole, changes) => {
        const text = JSON.stringify(whole, (_, node: unknown) => {
          if (typeof node !== 'object' || node === null) return node;
          const entries = Object.entries(node).filter(
            ([name]) => !changes.some(([field, , gone]) => gone && field === name),
          );
          const changed = changes.filter(([field, , gone]) => !gone && field in node);
          return Object.fromEntries([...entries, ...changed]);
        });
        const changed: unknown = JSON.parse(text);
        for (const read of [parseHeader(changed), parseChange(changed)])
          if (read !== undefined) expect(changed).toMatchObject(read);
      }),
      FUZZ,
    );
  });

  it('takes no record of which any field is junk', () => {
    const required = Object.keys(RECORD).filter(
      (field) => field !== 'startTime' && field !== 'sessionId',
    );
    fc.assert(
      fc.property(
        fc.constantFrom(...required),
        fc.constantFrom(undefined, null, {}, [], Number.NaN, '1'.repeat(5000)),
        (field, junk) => {
          expect(parseChange({ add: { ...RECORD, [field]: junk } })).toBeUndefined();
        },
      ),
      FUZZ,
    );
  });

  it.each([-1, 0, 1, 1.5, 2 ** 22 + 1, 2 ** 53, '4243', null])('takes no pid %j', (bad) => {
    expect(parseChange({ add: { ...RECORD, pid: bad } })).toBeUndefined();
  });

  it.each(['', 'a b', '../x', 'a/b', 'a/', 'a.b', 'x'.repeat(65)])('takes no id %j', (bad) => {
    expect(parseChange({ add: { ...RECORD, id: bad } })).toBeUndefined();
  });

  it.each(['a b12345678', '12345678/', '1234567', 'x'.repeat(65)])(
    'takes no owner %j',
    (instance) => {
      expect(parseHeader({ ...HEADER, owner: { ...HEADER.owner, instance } })).toBeUndefined();
    },
  );

  it.each([0, 2, '1', 1.5, null, undefined])('takes no header of version %j', (version) => {
    expect(parseHeader({ ...HEADER, version })).toBeUndefined();
    expect(parseHeader(HEADER)).toEqual(HEADER);
  });

  it('takes a host that is pid 1, as in a container', () => {
    const owner = { ...HEADER.owner, pid: 1 };
    expect(parseHeader({ ...HEADER, owner })).toMatchObject({ owner: { pid: 1 } });
  });

  it('drops what a later minor version may add, and nothing else', () => {
    expect(parseChange({ add: { ...RECORD, colour: 'red' } })).toEqual({ add: RECORD });
    expect(parseHeader({ ...HEADER, colour: 'red' })).toEqual(HEADER);
  });

  it('has no field for arguments or environment', () => {
    const add = { ...RECORD, args: ['--token', 's3cret'], env: { KEY: 's3cret' } };
    expect(JSON.stringify(parseChange({ add }))).not.toContain('s3cret');
  });
});

describe('the lines of the other files', () => {
  const created = { at: 1, machine: 'm'.repeat(256), bootId: 'b'.repeat(64), sinceBootMs: 0.5 };
  const spent = { usd: 0, tokens: 7 };
  const session = { version: 1, session: 's', created, at: 8.64e15 };
  const claim = { version: 1, conversation: 'c', owner: HEADER.owner, id: 'a-1' };
  const spend = { version: 1, at: 0, spent };
  const note = { version: 1, at: 0, event: 'ended', owner: 'o', id: 'i', kind: 'k' };
  const order = { version: 1, cause: 'reaped' };
  const long = (length: number) => ({
    longest: 'x'.repeat(length),
    longer: 'x'.repeat(length + 1),
  });

  const FORMATS: [what: string, parse: (value: unknown) => unknown, line: object, more: object][] =
    [
      [
        'session',
        parseSessionLine,
        session,
        { maxWallClockMs: 1, started: true, ended: 'e'.repeat(32), spent },
      ],
      ['day', parseSpendLine, spend, { session: 's'.repeat(1024) }],
      [
        'history',
        parseNote,
        note,
        {
          ...{
            pid: 7,
            sessionId: 's'.repeat(1024),
            command: 'c'.repeat(256),
            cause: 'c'.repeat(32),
          },
          ...{ code: null, signal: 's'.repeat(32), forced: false, durationMs: 0.5 },
        },
      ],
      ['order', parseOrder, order, {}],
      ['conversation lock', parseConversationLock, claim, {}],
    ];

  it.each(FORMATS)(
    'of a %s are read with all they may have, or the least',
    (_what, parse, line, more) => {
      expect(parse(line)).toEqual(line);
      expect(parse({ ...line, ...more })).toEqual({ ...line, ...more });
      expect(parse({ ...line, colour: 'red' })).toEqual(line);
    },
  );

  it.each(FORMATS)(
    'of a %s are none if a field is missing, or any is junk',
    (_what, parse, line, more) => {
      for (const field of Object.keys(line))
        expect(parse({ ...line, [field]: undefined })).toBeUndefined();
      for (const field of Object.keys({ ...line, ...more }))
        for (const junk of [{}, [], Number.NaN, Number.POSITIVE_INFINITY, 'x'.repeat(5000)])
          expect(parse({ ...line, [field]: junk }), `${field}: ${junk}`).toBeUndefined();
      for (const value of [undefined, null, 1, 'x', [], {}]) expect(parse(value)).toBeUndefined();
    },
  );

  it.each([
    [parseSessionLine, session, 'session', 1024],
    [parseSessionLine, session, 'ended', 32],
    [parseSpendLine, spend, 'session', 1024],
    [parseNote, note, 'owner', 64],
    [parseNote, note, 'id', 64],
    [parseNote, note, 'kind', 256],
    [parseNote, note, 'sessionId', 1024],
    [parseNote, note, 'command', 256],
    [parseNote, note, 'cause', 32],
    [parseNote, note, 'signal', 32],
    [parseConversationLock, claim, 'conversation', 1024],
    [parseConversationLock, claim, 'id', 64],
  ] as const)(
    '%o takes of %o a %s of %i characters, and no longer one',
    (parse, line, field, length) => {
      const { longest, longer } = long(length);
      expect(parse({ ...line, [field]: longest })).toEqual({ ...line, [field]: longest });
      expect(parse({ ...line, [field]: longer })).toBeUndefined();
    },
  );

  it.each([
    [parseSessionLine, { ...session, session: '' }],
    [parseSessionLine, { ...session, at: -1 }],
    [parseSessionLine, { ...session, at: 8.64e15 + 1000 }],
    [parseSessionLine, { ...session, maxWallClockMs: 0 }],
    [parseSessionLine, { ...session, started: false }],
    [parseSessionLine, { ...session, created: { ...created, bootId: 'b'.repeat(65) } }],
    [parseSessionLine, { ...session, created: { ...created, machine: 'm'.repeat(257) } }],
    [parseSessionLine, { ...session, created: { ...created, sinceBootMs: undefined } }],
    [parseSpendLine, { ...spend, spent: { usd: -0.01, tokens: 0 } }],
    [parseSpendLine, { ...spend, spent: { usd: 0, tokens: -1 } }],
    [parseNote, { ...note, event: '' }],
    [parseNote, { ...note, pid: 1.5 }],
    [parseOrder, { ...order, cause: '' }],
    [parseOrder, { ...order, cause: 'crashed' }],
    [parseConversationLock, { ...claim, conversation: '' }],
    [parseConversationLock, { ...claim, id: 'a/b' }],
    [parseConversationLock, { ...claim, id: 'a/' }],
    [parseConversationLock, { ...claim, owner: { ...HEADER.owner, pid: 0 } }],
  ] as const)('%o does not take %j', (parse, line) => {
    expect(parse(line)).toBeUndefined();
  });

  it('may tell what nobody knows, or what has no end', () => {
    expect(parseSessionLine({ ...session, maxWallClockMs: null })).toMatchObject({
      maxWallClockMs: null,
    });
    for (const event of ['started', 'ended', 'lost'])
      expect(parseNote({ ...note, event })).toBeDefined();
    for (const cause of ['terminated', 'reaped'])
      expect(parseOrder({ version: 1, cause })).toEqual({ version: 1, cause });
  });
});

it.each(['', '{', 'noise', '{"a":1}x'])('%j is no JSON', (text) => {
  expect(parseJson(text)).toBeUndefined();
});
