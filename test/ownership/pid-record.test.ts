import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parsePidFile, parseSpawnLock } from '../../src/ownership/pid-record.ts';
import { runs } from '../support/property.ts';

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
