import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runs } from '../../../kit/property.ts';
import { parsePidFile, parseSpawnLock } from '../../../src/store/pid-record.ts';

const FUZZ = runs(500);
const FILE = { version: 1, machine: 'm', pid: 7, startTime: '1', bootId: 'b', pidNamespace: 'n' };

describe('the format of pid files and spawn locks', () => {
  const text = fc.string({ maxLength: 64 });
  const optional = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined });
  const identity = {
    version: fc.constant(1 as const),
    machine: text,
    pid: fc.integer({ min: 1, max: 2 ** 22 }),
    startTime: optional(fc.string({ minLength: 1, maxLength: 32 })),
    bootId: text,
    pidNamespace: text,
  };
  const file = fc.record({
    ...identity,
    socket: optional(text),
    name: optional(text),
    daemonVersion: optional(text),
    cookie: optional(fc.stringMatching(/^[\w-]{1,64}\.daemon\.kept$/)),
    starting: optional(fc.nat()),
    claimed: optional(fc.constant(true as const)),
  });

  it('comes back as it was written', () => {
    fc.assert(
      fc.property(file, (written) => {
        const back = parsePidFile(JSON.parse(JSON.stringify(written)));
        expect(back).toEqual(JSON.parse(JSON.stringify(written)));
      }),
      FUZZ,
    );
    fc.assert(
      fc.property(
        fc.record({ ...identity, nonce: fc.string({ minLength: 1, maxLength: 64 }) }),
        (written) => {
          expect(parseSpawnLock(JSON.parse(JSON.stringify(written)))).toEqual(
            JSON.parse(JSON.stringify(written)),
          );
        },
      ),
      FUZZ,
    );
  });

  it('has no mark of anybody but a daemon', () => {
    for (const cookie of [
      '',
      'a.1',
      'a.1.kept',
      'a.daemon',
      'x/a.daemon.kept',
      'a.daemon.kept/b.1',
    ])
      expect(parsePidFile({ ...FILE, cookie }), cookie).toBeUndefined();
  });

  const LONGEST = {
    ...{ machine: 256, startTime: 32, bootId: 64, pidNamespace: 64, socket: 4096, name: 256 },
    daemonVersion: 256,
  };

  it.each(Object.entries(LONGEST))('has a %s of at most %i characters', (field, length) => {
    const longest = { ...FILE, [field]: 'x'.repeat(length) };
    expect(parsePidFile(longest)).toEqual(longest);
    expect(parsePidFile({ ...FILE, [field]: 'x'.repeat(length + 1) })).toBeUndefined();
  });

  it.each([
    [{ pid: 0 }, false],
    [{ pid: 1 }, true],
    [{ pid: 2 ** 22 }, true],
    [{ pid: 2 ** 22 + 1 }, false],
    [{ pid: 1.5 }, false],
    [{ startTime: '' }, false],
    [{ startTime: undefined }, true],
    [{ claimed: true }, true],
    [{ claimed: false }, false],
    [{ claimed: 1 }, false],
    [{ starting: 0 }, true],
    [{ starting: -1 }, false],
    [{ starting: 0.5 }, false],
    [{ starting: 2 ** 53 }, false],
    [{ starting: '1' }, false],
    [{ version: 2 }, false],
  ])('with %o: %s', (change, isFile) => {
    const file = { ...FILE, ...change };
    expect(parsePidFile(file)).toEqual(isFile ? file : undefined);
  });

  it('names what is there, and nothing that is not', () => {
    expect(Object.keys(parsePidFile(FILE) ?? {}).sort()).toEqual(Object.keys(FILE).sort());
  });

  it.each([
    [{}, true],
    [{ nonce: 'x'.repeat(64) }, true],
    [{ nonce: 'x'.repeat(65) }, false],
    [{ nonce: '' }, false],
    [{ nonce: 1 }, false],
    [{ nonce: undefined }, false],
    [{ pid: 0 }, false],
    [{ machine: undefined }, false],
    [{ version: 2 }, false],
  ])('of a spawn lock with %o: %s', (change, isLock) => {
    const lock = { ...FILE, nonce: 'n', ...change };
    expect(parseSpawnLock(lock)).toEqual(isLock ? lock : undefined);
  });

  it('is nothing else', () => {
    const wrong = fc.oneof(
      fc.string({ minLength: 5000, maxLength: 6000 }),
      fc.double(),
      fc.boolean(),
      fc.constant(null),
      fc.array(fc.anything()),
    );
    const field = fc.constantFrom(
      'version',
      'machine',
      'pid',
      'startTime',
      'bootId',
      'pidNamespace',
      'socket',
      'name',
      'daemonVersion',
      'cookie',
    );
    fc.assert(
      fc.property(file, field, wrong, (written, name, value) => {
        fc.pre(!(name === 'version' && value === 1));
        fc.pre(!(name === 'pid' && Number.isSafeInteger(value) && Number(value) >= 1));
        expect(parsePidFile({ ...written, [name]: value })).toBeUndefined();
      }),
      FUZZ,
    );
    fc.assert(
      fc.property(fc.anything(), (value) => {
        expect(['undefined', 'object']).toContain(typeof parsePidFile(value));
        expect(['undefined', 'object']).toContain(typeof parseSpawnLock(value));
      }),
      FUZZ,
    );
  });
});
