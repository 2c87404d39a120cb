import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytesOf, countOf, durationOf, parseArguments } from '../../../src/cli/arguments.ts';
import { bytes, type Cell, duration, painter, table } from '../../../src/cli/paint.ts';
import { fit, plain, widthOf } from '../../../src/cli/plain.ts';
import { Refusal } from '../../../src/cli/refusal.ts';
import { type CommandName, USAGE } from '../../../src/cli/usage.ts';
import { safeJson } from '../../../src/inspect/safe-json.ts';

/** Letters of every width, and what steers a terminal. */
const LETTERS = [
  'a',
  '-',
  ' ',
  'é',
  'e\u0301',
  '漢',
  '👩‍👩‍👧',
  '😀',
  '\n',
  '\x1b[31m',
  '\x9b2J',
  '\u202e',
  '\0',
];
const names = () => fc.array(fc.constantFrom(...LETTERS)).map((letters) => letters.join(''));
const noColor = painter(false);

describe('a duration', () => {
  it.each([
    ['500ms', 500],
    ['90s', 90_000],
    ['1.5m', 90_000],
    ['2h', 7_200_000],
    ['1d', 86_400_000],
    ['0s', 0],
  ])('%s is read as %i ms', (text, ms) => expect(durationOf('x', text)).toBe(ms));

  it.each([
    [0, '0ms'],
    [999.4, '999ms'],
    [999.6, '1.0s'],
    [12_345, '12.3s'],
    [59_949, '59.9s'],
    [59_960, '1m 00s'],
    [200_000, '3m 20s'],
    [3_599_700, '1h 00m'],
    [7_500_000, '2h 05m'],
    [4 * 86_400_000 + 3 * 3_600_000, '4d 3h'],
  ])('%d ms is written as %s', (ms, text) => expect(duration(ms)).toBe(text));

  it('is read as what was meant, or refused', () => {
    const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
    fc.assert(
      fc.property(
        fc.nat(1_000_000),
        fc.constantFrom(...Object.entries(units)),
        (count, [unit, ms]) => {
          expect(durationOf('x', `${count}${unit}`)).toBe(count * ms);
        },
      ),
    );
    fc.assert(fc.property(fc.string(), (text) => onlyRefuses(() => durationOf('x', text))));
  });

  it.each(['', '5', 's', '-1s', '1 s', '1e3s', '1S', '٣s', `${'9'.repeat(400)}d`, '1s\n'])(
    '%j is none',
    (text) => expect(() => durationOf('wait', text)).toThrow('--wait is'),
  );

  it('is of at least so much', () => {
    expect(() => durationOf('interval', '99ms', 100)).toThrow('at least 100ms');
    expect(durationOf('interval', '100ms', 100)).toBe(100);
  });

  it('is written with at most seven letters below a hundred days, and grows with what it says', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 8_000_000_000, noNaN: true }), (ms) => {
        expect(duration(ms).length).toBeLessThanOrEqual(7);
        expect(duration(ms)).not.toMatch(/60|1000ms/);
      }),
    );
  });
});

describe('a size', () => {
  it.each([
    ['512MiB', 512 * 2 ** 20],
    ['2GiB', 2 ** 31],
    ['1.5kB', 1500],
    ['1B', 1],
  ])('%s is read as %i bytes', (text, count) => expect(bytesOf('memory', text)).toBe(count));

  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [10_200, '10 KiB'],
    [1_048_500, '1.0 MiB'],
    [1.5 * 2 ** 30, '1.5 GiB'],
    [2 ** 60, '1048576 TiB'],
    [null, ''],
  ])('%s is written as %j', (count, text) => expect(bytes(count)).toBe(text));

  it.each(['', '5', '1mb', '0B', '0.1B', '-1GB', '1 GiB', 'GiB', `${'9'.repeat(400)}GiB`])(
    '%j is none',
    (text) => expect(() => bytesOf('memory', text)).toThrow('--memory is'),
  );

  it('is written short, and read or refused', () => {
    fc.assert(
      fc.property(fc.nat(2 ** 31 - 1), (count) => {
        expect(bytes(count).length).toBeLessThanOrEqual(8);
      }),
    );
    fc.assert(fc.property(fc.string(), (text) => onlyRefuses(() => bytesOf('x', text))));
    fc.assert(fc.property(fc.string(), (text) => onlyRefuses(() => countOf('x', text, 1))));
  });
});

describe('a name that others have chosen', () => {
  it('is shown as one line that steers nothing', () => {
    fc.assert(
      fc.property(fc.oneof(names(), fc.string({ unit: 'binary' })), (text) => {
        expect(plain(text)).not.toMatch(/[\p{Cc}\u2028\u2029\p{Bidi_Control}]/u);
        expect(plain(plain(text))).toBe(plain(text));
      }),
    );
    expect(plain('a\x1b[2Jb\nc\x1b]0;title\x07d\u202ee')).toBe('ab?cd?e');
  });

  it('is in JSON without a character that steers a terminal, and the same once it is read', () => {
    const texts = fc.oneof(names(), fc.string({ unit: 'binary' }));
    fc.assert(
      fc.property(fc.array(texts), fc.constantFrom(undefined, 2), (list, indent) => {
        const json = safeJson({ list }, indent);
        expect(json.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
        expect(JSON.parse(json)).toEqual({ list });
      }),
    );
    expect(safeJson('\x7f\x9b\u202e\u{e0041}é漢')).toBe('"\\u007f\\u009b\\u202e\\udb40\\udc41é漢"');
    // The control: what is used without.
    expect(JSON.stringify('\x9b\u202e')).toContain('\x9b\u202e');
  });

  it('is cut between two letters, never within one', () => {
    fc.assert(
      fc.property(names().map(plain), fc.nat(12), (text, columns) => {
        const cut = fit(text, columns);
        expect(widthOf(cut)).toBeLessThanOrEqual(columns);
        expect(cut.isWellFormed()).toBe(true);
        if (widthOf(text) <= columns) expect(cut).toBe(text);
        else expect(text.startsWith(cut.replace(/…$/, ''))).toBe(true);
      }),
    );
    expect(fit('漢字漢字', 5)).toBe('漢字…');
    expect([widthOf('漢字'), widthOf('é'), widthOf('e\u0301'), widthOf('👩‍👩‍👧')]).toEqual([
      4, 1, 1, 2,
    ]);
  });
});

describe('a table', () => {
  const columns = [
    { title: 'NAME', leastWidth: 6 },
    { title: 'PID', align: 'right' },
    { title: 'COMMAND', leastWidth: 8 },
  ] as const;

  it('cuts the widest of what may be cut, and keeps the rest', () => {
    const rows = [['a-name-that-is-long', '4711', 'node'], [], ['b', '1', 'sleep']];
    expect(table(columns, rows, noColor)).toEqual([
      'NAME                  PID  COMMAND',
      'a-name-that-is-long  4711  node',
      '',
      'b                       1  sleep',
    ]);
    expect(table(columns, rows, noColor, 25)).toEqual([
      'NAME         PID  COMMAND',
      'a-name-th…  4711  node',
      '',
      'b              1  sleep',
    ]);
  });

  it('is never wider than it may be, coloured or not, and loses nothing where there is room', () => {
    const cell = () =>
      names()
        .map(plain)
        .chain((text) => fc.constantFrom<Cell>(text, { text, style: 'red' }));
    const row = () => fc.array(cell(), { maxLength: 3 });
    fc.assert(
      fc.property(fc.array(row(), { maxLength: 5 }), fc.nat(60), (rows, width) => {
        const lines = table(columns, rows, noColor, width);
        expect(lines).toHaveLength(rows.length + 1);
        for (const line of lines) expect(widthOf(line)).toBeLessThanOrEqual(width);
        expect(table(columns, rows, painter(true), width).map(plain)).toEqual(lines);
        const whole = table(columns, rows, noColor);
        for (const [index, cells] of rows.entries())
          for (const one of cells)
            expect(whole[index + 1]).toContain(typeof one === 'string' ? one : one.text);
      }),
    );
  });
});

describe('the arguments of a command', () => {
  const commands = Object.keys(USAGE) as CommandName[];

  it('are read or refused in one line', () => {
    const options = [
      '--json',
      '--state-dir',
      '-n',
      '--lines=3',
      '-y',
      '--yes',
      '--',
      '--no-follow',
      '-h',
      '-x',
      '--=',
      '-',
      '--kind',
    ];
    const args = fc.array(fc.oneof(fc.constantFrom(...options), fc.string(), names()));
    fc.assert(
      fc.property(fc.constantFrom(...commands), args, (command, list) =>
        onlyRefuses(() => parseArguments(command, list)),
      ),
      { numRuns: 500 },
    );
  });

  it('of the command that run starts are its own', () => {
    fc.assert(
      fc.property(fc.array(fc.string()), (rest) => {
        expect(parseArguments('run', ['--json', '--', ...rest]).rest).toEqual(rest);
      }),
    );
    expect(parseArguments('run', ['--', 'a', '--', '--help', '']).rest).toEqual([
      'a',
      '--',
      '--help',
      '',
    ]);
  });

  it('after -- are no options', () => {
    expect(parseArguments('reap', ['--', '--yes'])).toMatchObject({
      positionals: ['--yes'],
      rest: [],
    });
  });

  it.each([
    ['ps', 'extra'],
    ['recover', 'extra'],
    ['reap', 'one', 'extra'],
    ['stop', 'one', '--', 'extra'],
    ['completion', 'bash', 'extra'],
  ] as const)('are not too many: %s %s', (command, ...args) => {
    expect(() => parseArguments(command, args)).toThrow('takes no "extra"');
  });
});

function onlyRefuses(attempt: () => unknown): void {
  try {
    attempt();
  } catch (error) {
    expect(error).toBeInstanceOf(Refusal);
    expect((error as Error).message.length).toBeGreaterThan(10);
  }
}
