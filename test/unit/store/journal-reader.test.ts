import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { damaged } from '../../../kit/damage.ts';
import { runs } from '../../../kit/property.ts';
import type { Os } from '../../../src/os/os.ts';
import type { Unproven } from '../../../src/reports.ts';
import type { SupervisionRecord } from '../../../src/store/formats.ts';
import { contentOf, headerOf, readJournal, readSafely } from '../../../src/store/journal-reader.ts';
import { parseJson } from '../../../src/store/jsonl.ts';

const HEADER = {
  version: 1,
  owner: {
    ...{ instance: 'instance-1', pid: 4242, startTime: '99', machine: 'machine' },
    ...{ bootId: 'boot', pidNamespace: 'pid:[1]' },
  },
  openedAt: 1795392634000,
};

const record = (id: string, more: Partial<SupervisionRecord> = {}): SupervisionRecord => ({
  ...{ id, pid: 4243, startTime: '100', bootId: 'boot', pidNamespace: 'pid:[1]', group: true },
  ...{ kind: 'agent', command: 'claude', cwd: '/srv', startedAt: 1795392634567 },
  ...more,
});
const added = (id: string) => ({ add: record(id) });
const journalOf = (...changes: (object | object[])[]) =>
  [HEADER, ...changes.flat()].map((line) => `${JSON.stringify(line)}\n`).join('');

let folder = '';
let path = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'agent-supervisor-journal-reader-'));
  path = join(folder, 'host-instance-1.jsonl');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('readJournal', () => {
  /** A journal with records a, b and c, of which b is removed. */
  function written(): { readonly text: string } {
    const text = journalOf(['a', 'b', 'c'].map(added), { remove: 'b' });
    writeFileSync(path, text, { mode: 0o600 });
    return { text };
  }

  it('reads a file that was torn anywhere, up to where it was torn', async () => {
    const { text } = written();
    const [header = '', ...rest] = text.split('\n');
    for (let length = text.length; length >= 0; length--) {
      writeFileSync(path, text.slice(0, length));
      const content = await readJournal(path);
      expect(content.warnings.length).toBeLessThanOrEqual(1);
      if (length < header.length) {
        expect(content).toMatchObject({ header: undefined, records: new Map() });
        continue;
      }
      expect(content.header).toBeDefined();
      // A line counts from its last brace on; the line feed is not missed.
      const whole = text
        .slice(0, length)
        .split('\n')
        .slice(1)
        .filter((line) => rest.includes(line));
      const last = whole.filter((line) => line !== '').at(-1) ?? '';
      const ids = [...content.records.keys()];
      if (last.startsWith('{"remove"')) expect(ids).toEqual(['a', 'c']);
      else expect(ids).toEqual(['a', 'b', 'c'].slice(0, whole.filter(Boolean).length));
    }
  });

  it('goes on after a torn line that others were appended to', async () => {
    written();
    appendFileSync(path, '{"add":{"id":"torn","pid":12');
    appendFileSync(path, `{"add":${JSON.stringify(record('glued'))}}\n`);
    appendFileSync(path, `{"add":${JSON.stringify(record('d'))}}\n`);
    const content = await readJournal(path);
    expect([...content.records.keys()]).toEqual(['a', 'c', 'd']);
    expect(content.warnings).toEqual([`${path}:6: unreadable line skipped`]);
  });

  it.each([
    ['no JSON', 'noise'],
    ['no change', '{"hello":1}'],
    ['no object', '[1,2]'],
    ['a record without a pid', '{"add":{"id":"x"}}'],
    ['a record of pid 1', JSON.stringify({ add: record('x', { pid: 1 }) })],
    ['zeros, as a crashed file system leaves them', '\0\0\0\0'],
    ['bytes that are no text', Buffer.from([0xff, 0xfe, 0x80, 0x7b])],
  ])('skips a line of %s with a warning, and never the rest', async (_what, noise) => {
    const { text } = written();
    const at = text.indexOf('\n', text.indexOf('"id":"a"')) + 1;
    writeFileSync(
      path,
      Buffer.concat([
        Buffer.from(text.slice(0, at)),
        Buffer.from(noise as string),
        Buffer.from(`\n${text.slice(at)}`),
      ]),
    );
    const content = await readJournal(path);
    expect([...content.records.keys()]).toEqual(['a', 'c']);
    expect(content.warnings).toEqual([`${path}:3: unreadable line skipped`]);
  });

  it('takes any bytes without throwing, and invents no record', async () => {
    const { text } = written();
    const os = { userId: () => process.getuid?.() } as Os;
    await fc.assert(
      fc.asyncProperty(damaged(fc.constant(text)), async (bytes) => {
        writeFileSync(path, bytes);
        const { header, records, warnings } = await readJournal(path);
        const lines = bytes
          .toString('utf8')
          .replace(/^\uFEFF/, '')
          .split('\n');
        const [first, ...rest] = lines.map(parseJson);
        if (header === undefined) {
          expect([...records.keys()]).toEqual([]);
          expect(warnings).toEqual([`${path}:1: not a journal of format 1`]);
        } else expect(first).toMatchObject(header);
        for (const [id, found] of records) {
          expect(found.id).toBe(id);
          const add = expect.objectContaining(found);
          expect(rest).toContainEqual(expect.objectContaining({ add }));
        }
        const unproven: Unproven[] = [];
        const told = headerOf(path, os, unproven);
        expect(unproven).toHaveLength(told === undefined ? 1 : 0);
        // A look at the header alone is stricter: it takes no byte order mark, and no header of any length.
        const isOdd = bytes.indexOf('\n') > 4096 || bytes.indexOf('\uFEFF') === 0;
        if (!isOdd) expect(told).toEqual(header);
      }),
      runs(100),
    );
  });

  it('lets the event loop go while it reads a long one', async () => {
    writeFileSync(path, journalOf(Array.from({ length: 3000 }, (_, index) => added(`r${index}`))));
    let turns = 0;
    const turn = (): void => {
      turns++;
      next = setImmediate(turn);
    };
    let next = setImmediate(turn);
    expect((await readJournal(path)).records.size).toBe(3000);
    clearImmediate(next);
    expect(turns).toBeGreaterThanOrEqual(10);
  });

  it.each([
    ['empty', ''],
    ['foreign', 'hello\nworld\n'],
    ['another JSON file', '{"name":"agent-supervisor","version":"0.1.0"}\n'],
    ['a JSON array', '[]\n'],
    ['of a later format', `{"version":2,"owner":${JSON.stringify(HEADER.owner)},"openedAt":1}\n`],
    ['without a header', `{"add":${JSON.stringify(record('a'))}}\n`],
  ])('finds no record in a file that is %s, and says so', async (_what, text) => {
    writeFileSync(path, `${text}${JSON.stringify({ add: record('a') })}\n`);
    expect(await readJournal(path)).toEqual({
      header: undefined,
      records: new Map(),
      warnings: [`${path}:1: not a journal of format 1`],
    });
  });
});

describe('a file that lies where a journal should', () => {
  const own = { userId: () => process.getuid?.() } as Os;
  const stranger = { userId: () => 12_345 } as Os;

  async function read(os = own) {
    const unproven: Unproven[] = [];
    const content = await readSafely(path, os, unproven);
    return { content, reasons: unproven.map(({ reason }) => reason) };
  }

  it('is read if it is one', async () => {
    writeFileSync(path, journalOf(added('a')));
    const { content, reasons } = await read();
    expect(content).toEqual({
      header: HEADER,
      records: new Map([['a', record('a')]]),
      warnings: [],
    });
    expect(reasons).toEqual([]);
  });

  it('is no reason to say anything if it is gone', async () => {
    expect(await read()).toEqual({ content: undefined, reasons: [] });
    const unproven: Unproven[] = [];
    expect(await contentOf(path, unproven)).toBeUndefined();
    expect(unproven).toEqual([]);
  });

  const refused = (reason: unknown) => ({ content: undefined, reasons: [reason] });

  it.skipIf(process.getuid === undefined)('is refused if others can have written it', async () => {
    writeFileSync(path, journalOf());
    expect(await read(stranger)).toEqual(refused(expect.stringContaining('belongs to uid')));
  });

  it.skipIf(process.platform === 'win32')('is refused if it is a link', async () => {
    writeFileSync(`${path}.real`, journalOf());
    symlinkSync(`${path}.real`, path);
    expect(await read()).toEqual(refused(`${path}: not a regular file`));
  });

  it('is refused if it is a folder', async () => {
    mkdirSync(path);
    expect(await read()).toEqual(refused(`${path}: not a regular file`));
    const unproven: Unproven[] = [];
    expect(await contentOf(path, unproven)).toBeUndefined();
    expect(unproven).toEqual([{ pid: undefined, reason: expect.stringContaining(path) }]);
  });

  it('is refused from 16 MiB and a byte on', async () => {
    writeFileSync(path, journalOf());
    truncateSync(path, 2 ** 24);
    expect((await read()).content?.header).toEqual(HEADER);
    truncateSync(path, 2 ** 24 + 1);
    expect(await read()).toEqual(refused(`${path}: 16777217 bytes are no journal`));
  });

  it('is refused if it is of another format', async () => {
    writeFileSync(path, journalOf().replace('"version":1', '"version":2'));
    expect(await read()).toEqual(refused(`${path}: not a journal of format 1`));
  });
});
