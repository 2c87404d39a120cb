// A growing file of JSON lines, read piece by piece.
import {
  appendFileSync,
  closeSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type JsonLine, JsonlReader, linesOf, readFirstLine } from '../../../src/store/jsonl.ts';

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'agent-supervisor-jsonl-'));
  path = join(folder, 'lines.jsonl');
});
afterEach(() => rmSync(folder, { recursive: true }));

function read(reader: JsonlReader, maxBytes?: number) {
  const fd = openSync(path, 'r');
  try {
    return reader.read(fd, maxBytes);
  } finally {
    closeSync(fd);
  }
}

const told = (lines: readonly JsonLine[]) => lines.map(({ number, value }) => [number, value]);

it('numbers the lines, leaves out empty ones, and waits for the rest of a torn one', () => {
  const reader = new JsonlReader();
  writeFileSync(path, '{"n":1}\n\nnoise\n{"n":');
  expect(told(read(reader).lines)).toEqual([
    [1, { n: 1 }],
    [3, undefined],
  ]);
  expect(reader.isTorn).toBe(true);
  appendFileSync(path, '4}\n');
  expect(told(read(reader).lines)).toEqual([[4, { n: 4 }]]);
  expect(reader.isTorn).toBe(false);
  expect(read(reader)).toEqual({ lines: [], bytes: 0, isOther: false });
});

it('takes the same lines out of pieces of any length, with the last one that has no end', () => {
  const text = '{"a":"é€😀"}\n{"b":2}\n\n{"c":3}';
  writeFileSync(path, text);
  for (let maxBytes = 1; maxBytes <= Buffer.byteLength(text); maxBytes++) {
    const reader = new JsonlReader();
    const lines: JsonLine[] = [];
    for (let piece = read(reader, maxBytes); piece.bytes > 0; piece = read(reader, maxBytes))
      lines.push(...piece.lines);
    expect(told(lines)).toEqual([
      [1, { a: 'é€😀' }],
      [2, { b: 2 }],
    ]);
    expect(told(reader.end())).toEqual([[4, { c: 3 }]]);
  }
});

it('knows that a file ends within a line, also where that is half a letter', () => {
  const reader = new JsonlReader();
  writeFileSync(path, Buffer.concat([Buffer.from('{"n":1}\n'), Buffer.from([0xe2])]));
  expect(told(read(reader).lines)).toEqual([[1, { n: 1 }]]);
  expect(reader.isTorn).toBe(true);
});

it('begins anew with a file that was cut, or has come in the place of the one before', () => {
  const reader = new JsonlReader();
  writeFileSync(path, '{"n":1}\n{"n":');
  read(reader);
  writeFileSync(`${path}.new`, '{"n":7}\n{"n":8}\n{"n":9}\n');
  renameSync(`${path}.new`, path);
  const { lines, isOther } = read(reader);
  expect(isOther).toBe(true);
  expect(told(lines)).toEqual([7, 8, 9].map((n, at) => [at + 1, { n }]));
  writeFileSync(path, '{"n":5}\n');
  expect(read(reader)).toMatchObject({ isOther: true, lines: [{ number: 1, value: { n: 5 } }] });
});

it('reads the last whole lines of a file alone', () => {
  writeFileSync(path, '{"n":1}\n{"n":2}\n{"n":3}\n');
  const valuesOf = (tailBytes: number | undefined) =>
    read(new JsonlReader({ tailBytes })).lines.map(({ value }) => value);
  expect(valuesOf(18)).toEqual([{ n: 2 }, { n: 3 }]);
  expect(valuesOf(7)).toEqual([]);
  expect(valuesOf(1000)).toHaveLength(3);
  expect(valuesOf(undefined)).toHaveLength(3);
});

it('reads a first line, if it is no longer than may be', () => {
  writeFileSync(path, '{"n":1}\n{"n":2}\n');
  expect(readFirstLine(path, 100)).toEqual({ n: 1 });
  expect(readFirstLine(path, 4)).toBeUndefined();
  writeFileSync(path, '\n{"n":2}\n');
  expect(readFirstLine(path, 100)).toBeUndefined();
});

it('leaves the torn end of a text out', () => {
  expect(linesOf('{"n":1}\n{"n":').map(({ text }) => text)).toEqual(['{"n":1}']);
  expect(linesOf('')).toEqual([]);
});
