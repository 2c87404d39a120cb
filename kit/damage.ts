// Damage that a file or a program's output may have when a parser gets it.
import fc from 'fast-check';

const PIECES: readonly (string | number[])[] = [
  ...['\0', '\0'.repeat(600), '\n', '\r\n', '\r', ' ', '\t', '\uFEFF', '\u2028', '\ud800'],
  ...['9'.repeat(400), '9007199254740993', '-1', '1e309', '0x10', '1.5', '٣'],
  ...['(', ')', '/', '.', '.kept', '=', ':', '{', '}', '[', '"', '\\', 'null', '{"__proto__":1}'],
  // Invalid UTF-8: a lone byte, a cut character, an overlong one, a surrogate.
  ...[[0xff], [0xc3], [0xc0, 0xaf], [0xed, 0xa0, 0x80]],
];

const piece = fc.oneof(
  fc.constantFrom(...PIECES).map((part) => Buffer.from(part as string)),
  fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes)),
  fc.string({ unit: 'binary', maxLength: 10 }).map((text) => Buffer.from(text)),
);

const wound = fc.record({ at: fc.nat(), cut: fc.oneof(fc.nat(3), fc.nat(300)), put: piece });

function hurt(bytes: Buffer, { at, cut, put }: { at: number; cut: number; put: Buffer }): Buffer {
  const from = at % (bytes.length + 1);
  return Buffer.concat([bytes.subarray(0, from), put, bytes.subarray(from + cut)]);
}

/** Bytes made from `text`: cut, overwritten, doubled, with other line ends; or any bytes at all. */
export function damaged(text: fc.Arbitrary<string>): fc.Arbitrary<Buffer> {
  const wounded = fc
    .tuple(text, fc.array(wound, { maxLength: 4 }), fc.boolean())
    .map(([whole, wounds, carriageReturns]) =>
      wounds.reduce(hurt, Buffer.from(carriageReturns ? whole.replaceAll('\n', '\r\n') : whole)),
    );
  const noise = fc.array(piece, { maxLength: 20 }).map((pieces) => Buffer.concat(pieces));
  return fc.oneof({ weight: 5, arbitrary: wounded }, { weight: 1, arbitrary: noise });
}
