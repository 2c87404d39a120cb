// The parsing of a server's stdout, with its bytes split anywhere.
import { JSONRPCMessageSchema } from '@modelcontextprotocol/sdk/types.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runs } from '../../../kit/property.ts';
import {
  type JsonRpcMessage,
  MessageReader,
  type Read,
  serialize,
} from '../../../src/mcp/messages.ts';

const FUZZ = runs(200);
const encoder = new TextEncoder();
const NOTE: JsonRpcMessage = { jsonrpc: '2.0', method: 'note' };

/** Reads the text, split at these positions. */
function readAll(text: string, cuts: readonly number[] = [], maxBytes = 2 ** 20): Read[] {
  const bytes = encoder.encode(text);
  const reader = new MessageReader(maxBytes);
  const edges = [0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length];
  edges.sort((a, b) => a - b);
  return edges.flatMap((end, i) => [...reader.read(bytes.subarray(edges[i - 1] ?? 0, end))]);
}

const messagesIn = (reads: readonly Read[]) =>
  reads.flatMap((read) => ('message' in read ? [read.message] : []));
const errorsIn = (reads: readonly Read[]) =>
  reads.flatMap((read) => ('error' in read ? [read.error.message] : []));

describe('a message', () => {
  const message = fc.record({
    jsonrpc: fc.constant('2.0' as const),
    method: fc.string({ unit: 'grapheme' }),
    params: fc.jsonValue(),
  });

  it('is parsed, wherever its bytes are split', () => {
    fc.assert(
      fc.property(fc.array(message), fc.array(fc.nat()), (messages, cuts) => {
        const reads = readAll(messages.map(serialize).join(''), cuts);
        expect(reads.map((read) => JSON.stringify(read))).toEqual(
          messages.map((sent) => JSON.stringify({ message: sent })),
        );
      }),
      FUZZ,
    );
  });

  it('may end with CRLF, and stand between empty lines', () => {
    expect(readAll(`\n${JSON.stringify(NOTE)}\r\n \r\n`)).toEqual([{ message: NOTE }]);
  });

  it('is not yielded before the end of its line', () => {
    expect(readAll(JSON.stringify(NOTE))).toEqual([]);
  });

  it('is accepted exactly when the SDK accepts it', () => {
    /** A field that is valid with weight 5, wrong with 1, and missing with 6. */
    const part = (right: fc.Arbitrary<unknown>) =>
      fc.oneof(
        { weight: 5, arbitrary: right },
        { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 1 }) },
        { weight: 6, arbitrary: fc.constant(undefined) },
      );
    const object = fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 1 }));
    const anything = fc.record({
      jsonrpc: fc.constantFrom('2.0', '2.0', '2.0', '1.0', undefined),
      method: part(fc.string()),
      id: part(fc.oneof(fc.integer(), fc.string(), fc.double())),
      params: part(object),
      result: part(object),
      error: part(fc.record({ code: fc.integer(), message: fc.string() })),
    });
    let theirs = 0;
    fc.assert(
      fc.property(anything, (value) => {
        const line = JSON.stringify(value);
        const isTheirs = JSONRPCMessageSchema.safeParse(JSON.parse(line)).success;
        if (!isTheirs) return;
        theirs += 1;
        expect(messagesIn(readAll(`${line}\n`))).toEqual([JSON.parse(line)]);
      }),
      runs(2000),
    );
    expect(theirs).toBeGreaterThan(100);
  });

  it.each([
    { jsonrpc: '2.0', id: 1, method: 'ask' },
    { jsonrpc: '2.0', id: 'a', method: 'ask', params: {} },
    { jsonrpc: '2.0', id: 0, result: {} },
    { jsonrpc: '2.0', id: 1, error: { code: -32_601, message: 'no' } },
    { jsonrpc: '2.0', error: { code: -32_700, message: 'no' } },
  ])('$#: %j', (value) => {
    expect(readAll(`${JSON.stringify(value)}\n`)).toEqual([{ message: value }]);
    expect(JSONRPCMessageSchema.safeParse(value).success).toBe(true);
  });
});

describe('a line that is no message', () => {
  it.each([
    'Server listening',
    '{"jsonrpc":"2.0","method":"note"',
    'null',
    '1',
    '"2.0"',
    '[]',
    '[{"jsonrpc":"2.0","method":"note"}]',
    '{}',
    '{"method":"note"}',
    '{"jsonrpc":"1.0","method":"note"}',
    '{"jsonrpc":"2.0"}',
    '{"jsonrpc":"2.0","id":1}',
    '{"jsonrpc":"2.0","result":{}}',
    '{"jsonrpc":"2.0","id":1,"result":1}',
    '{"jsonrpc":"2.0","id":null,"result":{}}',
    '{"jsonrpc":"2.0","id":1.5,"method":"ask"}',
    '{"jsonrpc":"2.0","id":{},"method":"ask"}',
    '{"jsonrpc":"2.0","id":1,"error":"no"}',
  ])('%s', (line) => {
    const reads = readAll(`${line}\n${serialize(NOTE)}`);
    expect(reads).toMatchObject([{ isFatal: false }, { message: NOTE }]);
    expect(errorsIn(reads)[0]).toContain(line.slice(0, 60));
  });

  it('is quoted in part, with secrets redacted', () => {
    const [error = ''] = errorsIn(
      readAll(`${'x'.repeat(70)} token=abcdefghijkl ${'y'.repeat(70)}\n`),
    );
    expect(error).toContain('xxx token=');
    expect(error).not.toMatch(/abcdef|yyyy/);
  });

  it('may be invalid UTF-8', () => {
    const reads = [...new MessageReader(100).read(Uint8Array.of(0xff, 0xc3, 0x28, 0x0a))];
    expect(reads).toMatchObject([{ isFatal: false }]);
  });
});

describe('a message that is too long', () => {
  const long = serialize({ ...NOTE, params: { text: 'ä'.repeat(40) } });
  const limit = encoder.encode(long).length - 1;

  it('is accepted at exactly the limit in bytes', () => {
    expect(messagesIn(readAll(long, [], limit))).toHaveLength(1);
  });

  it.each([[[]], [[10, 20, 90]], [[limit]]])(
    'is reported once, split at %j, and the next message is read',
    (cuts) => {
      const reads = readAll(`${long}${serialize(NOTE)}${long}`, cuts, limit - 1);
      expect(reads).toMatchObject([{ isFatal: true }, { message: NOTE }, { isFatal: true }]);
      expect(errorsIn(reads)[0]).toMatch(`longer than ${limit - 1} bytes`);
    },
  );

  it('takes no more memory than the limit', () => {
    const reader = new MessageReader(1000);
    const chunk = new Uint8Array(2 ** 16).fill(0x20);
    const reads = Array.from({ length: 200 }, () => [...reader.read(chunk)]).flat();
    expect(reads).toHaveLength(1);
  });
});
