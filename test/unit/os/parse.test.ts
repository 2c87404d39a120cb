import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { damaged } from '../../../kit/damage.ts';
import { runs } from '../../../kit/property.ts';
import {
  isKernelThread,
  parseBootId,
  parseCim,
  parseProcStat,
  parsePs,
  parsePss,
} from '../../../src/os/parse.ts';

const FUZZ = runs(500);

// The columns of macOS 14: 5, 5, 5, 4, 28 and 16 wide, with one space between them.
const PS = `\
    1     0     1 Ss   Sun Nov  1 07:03:09 2026     launchd          /sbin/launchd
  501     1   501 S    Mon Nov 23 00:10:33 2026     node             node host.js
  612   501   612 Ss   Mon Nov 23 00:10:34 2026     2.1.37           /Users/ada/.local/bin/claude --output-format stream-json
  613   612   612 Z    Mon Nov 23 00:10:35 2026     node             (node)
  614   612   612 S    Mon Nov 23 00:10:35 2026     node             node /Users/ada/mcp server/index.js --name  twice
  615     1   615 Ss   Mon Nov 23 00:10:36 2026     zsh              /bin/zsh -c sleep 100
  616   501   501 S+   Mon Nov 23 00:10:37 2026     grep             grep AGENT_SUPERVISOR_COOKIE=o1.r1
99998     1 99998 U<s  Fri Feb 29 23:59:59 2008     Google Chrome He /Applications/Google Chrome.app/Contents/MacOS/Google Chrome Helper (GPU) --type=gpu
  617     1   617 ?Es  Mon Nov 23 00:10:38 2026     )a ( b           (a ( b)
`;

const PS_WITH_ENVIRONMENT = `\
    1     0     1 Ss   Sun Nov  1 07:03:09 2026     launchd          /sbin/launchd
  501     1   501 R    Mon Nov 23 00:10:33 2026     node             node host.js PATH=/usr/bin:/bin HOME=/Users/ada
  612   501   612 Ss   Mon Nov 23 00:10:34 2026     2.1.37           /Users/ada/.local/bin/claude --output-format stream-json HOME=/Users/ada AGENT_SUPERVISOR_COOKIE=o1.r1 LANG=C
  613   612   612 Z    Mon Nov 23 00:10:35 2026     node             (node)
  614   612   612 S    Mon Nov 23 00:10:35 2026     node             node /Users/ada/mcp server/index.js --name  twice AGENT_SUPERVISOR_COOKIE=o1.r1/o2.r7
  615     1   615 Ss   Mon Nov 23 00:10:36 2026     zsh              /bin/zsh -c sleep 100
  616   501   501 S+   Mon Nov 23 00:10:37 2026     grep             grep AGENT_SUPERVISOR_COOKIE=o1.r1
99998     1 99998 U<s  Fri Feb 29 23:59:59 2008     Google Chrome He /Applications/Google Chrome.app/Contents/MacOS/Google Chrome Helper (GPU) --type=gpu XPC_FLAGS=0x0
  617     1   617 ?Es  Mon Nov 23 00:10:38 2026     )a ( b           (a ( b)
`;

/** One row as macOS prints it, decoded as Latin-1. */
function psRow(pid: number, name: string, commandLine: string, stat = 'S'): string {
  const numbers = [pid, 501, pid].map((number) => String(number).padStart(5)).join(' ');
  const start = 'Mon Nov 23 00:10:33 2026    ';
  const bytes = Buffer.from(name).toString('latin1').padEnd(16);
  return `${numbers} ${stat.padEnd(4)} ${start} ${bytes} ${commandLine}\n`;
}

const byPid = (entries: readonly { pid: number }[]) => new Map(entries.map((e) => [e.pid, e]));

describe('parsePs', () => {
  const table = byPid(parsePs(PS, PS_WITH_ENVIRONMENT));

  it('reads every row', () => {
    expect([...table.keys()]).toEqual([1, 501, 612, 613, 614, 615, 616, 99998, 617]);
    expect(table.get(612)).toEqual({
      pid: 612,
      ppid: 501,
      pgid: 612,
      sid: 0,
      alive: true,
      startTime: '1795392634',
      command: '2.1.37',
      cookie: 'o1.r1',
    });
  });

  it('reads the start time as UTC, whatever the width of the day', () => {
    expect(table.get(1)).toMatchObject({ startTime: '1793516589' });
    expect(table.get(99998)).toMatchObject({ startTime: '1204329599' });
  });

  it('tells zombies from live processes, even with an unknown or missing state', () => {
    expect(table.get(613)).toMatchObject({ alive: false, cookie: undefined });
    expect(table.get(617)).toMatchObject({ alive: true });
    expect(parsePs(psRow(7, 'node', '(node)', 'Z+'), '')).toMatchObject([{ alive: false }]);
    expect(parsePs(psRow(7, 'node', 'node', ''), '')).toMatchObject([{ alive: true }]);
  });

  it('keeps names with spaces and parentheses, cut where the kernel cuts them', () => {
    expect(table.get(99998)).toMatchObject({ command: 'Google Chrome He', cookie: undefined });
    expect(table.get(617)).toMatchObject({ command: ')a ( b' });
  });

  it('keeps names with non-ASCII letters, and replaces torn ones', () => {
    expect(parsePs(psRow(7, 'éà agent', '/x'), '')).toMatchObject([{ command: 'éà agent' }]);
    const torn = psRow(7, 'x', '/x').replace('x               ', `${'a'.repeat(15)}\xc3`);
    expect(parsePs(torn, '')).toMatchObject([{ command: `${'a'.repeat(15)}\ufffd` }]);
  });

  it('reads the extended cookie of a nested supervisor', () => {
    expect(table.get(614)).toMatchObject({ cookie: 'o1.r1/o2.r7' });
  });

  it('reads no cookie from a command line', () => {
    expect(table.get(616)).toMatchObject({ command: 'grep', cookie: undefined });
  });

  const cookieOf = (args: string, environment: string): string | undefined =>
    parsePs(psRow(7, 'node', args), psRow(7, 'node', environment))[0]?.cookie;

  it.each([
    [
      'the last of several cookies',
      'a',
      'a AGENT_SUPERVISOR_COOKIE=o1.r1 AGENT_SUPERVISOR_COOKIE=o2.r2',
      'o2.r2',
    ],
    [
      'the environment, not the arguments',
      'a AGENT_SUPERVISOR_COOKIE=x',
      'a AGENT_SUPERVISOR_COOKIE=x AGENT_SUPERVISOR_COOKIE=o1.r1',
      'o1.r1',
    ],
    ['no end of another name', 'a', 'a MY_AGENT_SUPERVISOR_COOKIE=o1.r1', undefined],
    [
      'none that only the command line quotes',
      'a AGENT_SUPERVISOR_COOKIE=o1.r1',
      'a AGENT_SUPERVISOR_COOKIE=o1.r1 B=1',
      undefined,
    ],
    ['no empty one', 'a', 'a AGENT_SUPERVISOR_COOKIE= B=1', undefined],
    ['none if the command line changed', 'a', 'b AGENT_SUPERVISOR_COOKIE=o1.r1', undefined],
    [
      'none if the command line is only the beginning of a word',
      'a',
      'ab AGENT_SUPERVISOR_COOKIE=o1.r1',
      undefined,
    ],
  ])('reads %s', (_what, args, environment, cookie) => {
    expect(cookieOf(args, environment)).toBe(cookie);
  });

  it('reads no cookie from an earlier process with the same pid', () => {
    const before = psRow(7, 'node', 'a AGENT_SUPERVISOR_COOKIE=o1.r1').replace(
      '00:10:33',
      '00:10:32',
    );
    expect(parsePs(psRow(7, 'node', 'a'), before)).toMatchObject([{ cookie: undefined }]);
  });

  it('proves nothing about a pid for which a name with a line break forged a second row', () => {
    const forger = 'xxxxxxxx\n 7';
    const forged = '  501     7 Z    Mon Nov 23 00:10:33 2026     x                x';
    const environment = `${forged} AGENT_SUPERVISOR_COOKIE=o1.r1`;
    const rows = (commandLine: string) =>
      psRow(7, 'sshd', 'sshd: ada', 'Ss') + psRow(900, forger, commandLine);
    const found = byPid(parsePs(rows(forged), rows(environment)));
    expect(found.get(900)).toMatchObject({ alive: true, cookie: undefined });
    expect(found.get(7)).toMatchObject({ ppid: 0, pgid: 0, alive: true, cookie: undefined });
    expect(found.get(7)).toMatchObject({ startTime: '' });
  });

  it.each([
    '',
    '\n\n',
    'ps: illegal option -- E',
    '  PID  PPID  PGID STAT STARTED',
    PS.replaceAll('Nov', 'Nox').slice(0, 90),
  ])('leaves out a line that is no row: %j', (text) => {
    expect(parsePs(text, text)).toEqual([]);
  });

  it('is not slowed down by a row that a process made long', () => {
    const spaces = `1 1 1${' '.repeat(1_000_000)}x`;
    expect(parsePs(spaces, spaces)).toEqual([]);
  }, 1_000);

  const line = fc.stringMatching(/^[!-~é]([ -~é]{0,30}[!-~é])?$/);
  const process = fc.record({
    pid: fc.integer({ min: 1, max: 99_999 }),
    ppid: fc.integer({ min: 0, max: 99_999 }),
    pgid: fc.integer({ min: 0, max: 99_999 }),
    alive: fc.boolean(),
    startTime: fc.integer({ min: 0, max: 4_102_444_800 }).map(String),
    command: line.filter((name) => Buffer.byteLength(name) <= 16),
    commandLine: line.map((text) => text.replaceAll('é', 'M-CM-)')),
    cookie: fc.option(fc.stringMatching(/^[\w./-]{1,40}$/), { nil: undefined }),
  });

  it('reads back what was printed', () => {
    const processes = fc.uniqueArray(process, { selector: ({ pid }) => pid });
    fc.assert(
      fc.property(processes, (rows) => {
        const print = (withEnvironment: boolean): string =>
          rows
            .map((row) => {
              const [, day, month, year, time] = new Date(Number(row.startTime) * 1000)
                .toUTCString()
                .split(' ');
              const start =
                `Mon ${month} ${String(Number(day)).padStart(2)} ${time} ${year}`.padEnd(28);
              const numbers = [row.pid, row.ppid, row.pgid].map((number) =>
                String(number).padStart(5),
              );
              const name = Buffer.from(row.command).toString('latin1').padEnd(16);
              const environment = row.cookie
                ? ` A=1 AGENT_SUPERVISOR_COOKIE=${row.cookie} B=2 3`
                : ' A=1';
              const stat = (row.alive ? 'Ss' : 'Z').padEnd(4);
              return `${numbers.join(' ')} ${stat} ${start} ${name} ${row.commandLine}${withEnvironment ? environment : ''}\n`;
            })
            .join('');
        expect(parsePs(print(false), print(true))).toEqual(
          rows.map(({ commandLine, cookie, ...row }) => ({
            ...row,
            sid: 0,
            cookie: row.alive ? cookie : undefined,
          })),
        );
      }),
      FUZZ,
    );
  });
});

// Rows as the query of windows.ts prints them; 133… are FILETIMEs of November 2026.
const CIM = `\uFEFF0 0 0 System Idle Process\r
4 0 134378000000000000 System\r
172 4 0 Registry\r
5124 1044 134378650000000000 explorer.exe\r
7788 5124 134378653000000000 node.exe\r
8120 7788 134378653500000010 claude.exe\r
8121 8120 134378653500000010 Microsoft Teams (work or school).exe\r
9000 172 134378653600000000 child of the undated.exe\r
6100 8120 134378653400000000 older than its parent.exe\r
6200 31337 134378653400000000 orphan.exe\r
6300 6300 134378653400000000 itself.exe\r
\r
Get-CimInstance : Access denied\r
`;

describe('parseCim', () => {
  const table = byPid(parseCim(CIM));

  it('reads every row but the idle process', () => {
    expect([...table.keys()]).toEqual([4, 172, 5124, 7788, 8120, 8121, 9000, 6100, 6200, 6300]);
    expect(table.get(8120)).toEqual({
      pid: 8120,
      ppid: 7788,
      pgid: 0,
      sid: 0,
      alive: true,
      startTime: '134378653500000010',
      command: 'claude.exe',
      cookie: undefined,
    });
  });

  it('keeps names with spaces, without their line ends', () => {
    expect(table.get(8121)).toMatchObject({ command: 'Microsoft Teams (work or school).exe' });
  });

  it.each([
    ['created in the same instant', 8121, 8120],
    ['gone', 5124, 1044],
    ['long gone', 6200, 31337],
    ['a later process with its pid', 6100, 0],
    ['without a creation date', 9000, 0],
    ['named by a process without a creation date', 172, 0],
    ['the idle process', 4, 0],
    ['itself', 6300, 0],
  ])('reads a parent that is %s', (_what, pid, ppid) => {
    expect(table.get(pid)).toMatchObject({ ppid });
  });

  it.each(['', '\r\n', 'ProcessId ParentProcessId', '12 13', '-1 0 5 x', '1.5 0 5 x'])(
    'leaves out a line that is no row: %j',
    (text) => expect(parseCim(text)).toEqual([]),
  );

  it('reads back what was printed', () => {
    const started = fc.bigInt({ min: 1n, max: 10n ** 18n }).map(String);
    const row = fc.record({
      pid: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
      startTime: started,
      command: fc.stringMatching(/^[ -~é\u2028]{1,40}$/),
    });
    const rows = fc.uniqueArray(row, { selector: ({ pid }) => pid });
    fc.assert(
      fc.property(rows, (printed) => {
        // Each is the alleged child of the one before it.
        const ppids = printed.map((_, index) => printed[index - 1]?.pid ?? 0);
        const text = printed
          .map(({ pid, startTime, command }, i) => `${pid} ${ppids[i]} ${startTime} ${command}\r\n`)
          .join('');
        const expected = printed.map((entry, index) => {
          const parent = printed[index - 1];
          const proven =
            parent !== undefined && BigInt(parent.startTime) <= BigInt(entry.startTime);
          const ppid = proven ? parent.pid : 0;
          return { ...entry, ppid, pgid: 0, sid: 0, alive: true, cookie: undefined };
        });
        expect(parseCim(text)).toEqual(expected);
      }),
      FUZZ,
    );
  });
});

describe('parseProcStat', () => {
  const TAIL = '0 -1 4194304 100 0 0 0 1 2 0 0 20 0 1 0';

  it.each([
    [
      'a plain name',
      `412 (node) S 411 412 412 ${TAIL} 8675 1 2 3`,
      { pid: 412, ppid: 411, pgid: 412, sid: 412, alive: true, startTime: '8675', command: 'node' },
    ],
    [
      'a name that looks like the fields after it',
      `412 (a) R 1 (b) c) S 411 412 400 ${TAIL} 8675 1`,
      { ppid: 411, sid: 400, command: 'a) R 1 (b) c' },
    ],
    ['a name with a line break', `412 (a\nb) S 411 412 412 ${TAIL} 8675 1`, { command: 'a\nb' }],
    ['an empty name', `412 () S 411 412 412 ${TAIL} 8675 1`, { command: '' }],
    ['a zombie', `413 (sh) Z 412 412 412 ${TAIL} 8680 0`, { alive: false }],
    [
      'a zombie whose other threads still run',
      `413 (sh) Z 412 412 412 ${TAIL.replace('20 0 1 0', '20 0 3 0')} 8680 0`,
      { alive: true },
    ],
    ['a dead process', `413 (sh) X 412 412 412 ${TAIL} 8680 0`, { alive: false }],
    [
      'a kernel thread',
      `2 (kthreadd) S 0 0 0 ${TAIL} 31 0 0`,
      { pid: 2, ppid: 0, pgid: 0, sid: 0, alive: true, command: 'kthreadd' },
    ],
  ])('reads %s', (_what, text, expected) => {
    expect(parseProcStat(text)).toMatchObject(expected);
  });

  it.each([
    ['nothing', ''],
    ['a torn line', '412 (node) S 411 412'],
    ['a torn name', '412 (no'],
    ['no pid', `(node) S 411 412 412 ${TAIL} 8675`],
    ['a pid that is no number', `x12 (node) S 411 412 412 ${TAIL} 8675`],
    ['a pid in another notation', `4e2 (node) S 411 412 412 ${TAIL} 8675`],
    ['a parent that is no number', `412 (node) S x 412 412 ${TAIL} 8675`],
    ['a session that is no number', `412 (node) S 411 412 0x1 ${TAIL} 8675`],
    ['a start time that is no number', `412 (node) S 411 412 412 ${TAIL} -1 2`],
    ['a start time with a letter', `412 (node) S 411 412 412 ${TAIL} 8675x 2`],
    ['parentheses the wrong way round', `412 )node( S 411 412 412 ${TAIL} 8675`],
  ])('refuses %s', (_what, text) => {
    expect(parseProcStat(text)).toBeUndefined();
  });
});

describe('isKernelThread', () => {
  it.each([
    [true, '2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 4 0 0 20 0 1 0 18 0 0'],
    [true, '31 (kworker/0:1-events) I 2 0 0 0 -1 69238880 0 0 0 0 0 4 0 0 20 0 1 0 18 0 0'],
    [false, '412 (cat) R 411 412 412 0 -1 4194560 102 0 0 0 0 0 0 0 20 0 1 0 2952406 3133440 407'],
    [false, '412 (a) S 0 0 0 0 -1 2129984) R 411 412 412 0 -1 4194560 102 0 0 0 0 0 0 0 20 0 1'],
    [false, '412 (cat'],
    [false, ''],
  ])('is %s for %s', (expected, text) => {
    expect(isKernelThread(text)).toBe(expected);
  });
});

describe('parseProcStat, for any process', () => {
  const number = fc.integer({ min: 0, max: 2 ** 22 });
  const process = fc.record({
    pid: fc.integer({ min: 1, max: 2 ** 22 }),
    command: fc.oneof(
      fc.string({ unit: 'binary', maxLength: 15 }),
      fc.constantFrom(') S 1 1 1', '(', ')', ' ', '1 (x) R 1 2 3', '\n'),
    ),
    ppid: number,
    // The kernel's value for a process that is being reaped (do_task_stat).
    pgid: fc.oneof(number, fc.constant(-1)),
    sid: fc.oneof(number, fc.constant(-1)),
    startTime: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String),
  });
  const state = fc.constantFrom(...'RSDZTtXxKWPI');
  const more = fc.array(fc.integer({ min: -1 }), { minLength: 16, maxLength: 45 });
  const row = fc.tuple(process, state, more).map(([entry, letter, rest]) => {
    const numbers = [entry.ppid, entry.pgid, entry.sid, ...rest.slice(0, 15), entry.startTime];
    const fields = [letter, ...numbers, ...rest.slice(15)].join(' ');
    return {
      entry,
      letter,
      threads: rest[13],
      text: `${entry.pid} (${entry.command}) ${fields}\n`,
    };
  });

  it('reads back what the kernel prints', () => {
    fc.assert(
      fc.property(row, ({ entry, letter, threads = 0, text }) => {
        const alive = !'Xx'.includes(letter) && (letter !== 'Z' || threads > 1);
        expect(parseProcStat(text)).toEqual({ ...entry, alive });
      }),
      FUZZ,
    );
  });

  it('never throws, and returns no number that is not in the input', () => {
    fc.assert(
      fc.property(damaged(row.map(({ text }) => text)), (bytes) => {
        const text = bytes.toString('latin1');
        const read = parseProcStat(text);
        if (read === undefined) return;
        const { pid, command, ppid, pgid, sid, startTime } = read;
        const [begin = '', rest = ''] = text.split(`(${command})`, 2);
        expect(begin).toMatch(/^\d+ $/);
        const fields = rest.slice(1).split(' ');
        expect([pid, ppid, pgid, sid]).toEqual([begin, ...fields.slice(1, 4)].map(Number));
        expect(startTime).toBe(fields[19]);
      }),
      FUZZ,
    );
  });
});

describe('parsePss', () => {
  const rollup = (...lines: string[]): string =>
    ['560404b99000-7fff04659000 ---p 00000000 00:00 0    [rollup]', ...lines, ''].join('\n');
  it.each([
    [rollup('Rss:                1752 kB', 'Pss:                 247 kB'), 252_928],
    [rollup('Pss_Dirty:           112 kB', 'Pss:          2097152 kB'), 2 ** 31],
    [rollup('Pss:                   0 kB'), 0],
    [rollup('Pss_Anon:            112 kB', 'SwapPss:             112 kB'), undefined],
    [rollup('Pss:                 247 MB'), undefined],
    ['', undefined],
  ])('reads %j', (text, bytes) => {
    expect(parsePss(text)).toBe(bytes);
  });
});

describe('parseBootId', () => {
  it.each([
    ['A5F8C4D2-0C1B-4E0B-9F53-0123456789AB\n', 'A5F8C4D2-0C1B-4E0B-9F53-0123456789AB'],
    ['{ sec = 1795392000, usec = 482211 } Mon Nov 23 00:00:00 2026\n', '1795392000'],
    ["sysctl: unknown oid 'kern.bootsessionuuid'\n", ''],
    ['', ''],
  ])('reads %j', (text, bootId) => {
    expect(parseBootId(text)).toBe(bootId);
  });
});

describe('a damaged listing', () => {
  /** Every line that may be a process's row, as the parser of the listing has to find it. */
  const linesOf = (text: string) => text.replace(/^\uFEFF/, '').split(/\r?\n/);

  it('makes parsePs invent no process and no cookie', () => {
    const two = fc.tuple(damaged(fc.constant(PS)), damaged(fc.constant(PS_WITH_ENVIRONMENT)));
    fc.assert(
      fc.property(two, (listings) => {
        const [plain, full] = listings.map((bytes) => bytes.toString('latin1')) as [string, string];
        const [rows, fullRows] = [plain.split('\n'), full.split('\n')];
        for (const { pid, ppid, pgid, startTime, cookie } of parsePs(plain, full)) {
          const ofPid = (row: string) =>
            row
              .trimStart()
              .replace(/^0+(?=\d)/, '')
              .split(' ', 1)[0] === `${pid}`;
          const printed = rows.filter(ofPid);
          expect(printed).not.toEqual([]);
          // A pid with two rows: nothing is proven.
          if (startTime === '') {
            expect({ ppid, pgid, cookie }).toEqual({ ppid: 0, pgid: 0, cookie: undefined });
            continue;
          }
          const numbers = printed.map((row) => row.trimStart().split(/ +/, 3).map(Number));
          expect(numbers).toContainEqual([pid, ppid, pgid]);
          if (cookie === undefined) continue;
          const variable = ` AGENT_SUPERVISOR_COOKIE=${cookie}`;
          expect(fullRows.some((row) => ofPid(row) && row.includes(variable))).toBe(true);
        }
      }),
      FUZZ,
    );
  });

  it('makes parseCim invent no process', () => {
    fc.assert(
      fc.property(damaged(fc.constant(CIM)), (bytes) => {
        const text = bytes.toString('utf8');
        const rows = linesOf(text).map((line) => {
          const [pid, ppid, startTime, ...name] = line.split(' ');
          return { pid: Number(pid), ppid: Number(ppid), startTime, command: name.join(' ') };
        });
        for (const { pid, ppid, startTime, command } of parseCim(text)) {
          const own = rows.filter((row) => row.pid === pid && row.startTime === startTime);
          expect(own.map((row) => row.command)).toContain(command);
          if (ppid !== 0) expect(own.map((row) => row.ppid)).toContain(ppid);
        }
      }),
      FUZZ,
    );
  });
});

describe('any text', () => {
  const word = fc.constantFrom(
    '7',
    '412',
    '-1',
    '1e3',
    '9'.repeat(400),
    '(',
    ')',
    'S',
    'Z',
    ' ',
    '\n',
    '\r\n',
    'Mon Nov 23 00:10:33 2026     ',
    '134378653500000010',
    'AGENT_SUPERVISOR_COOKIE=',
    'node',
  );
  const text = fc
    .array(fc.oneof(word, fc.string({ unit: 'binary', maxLength: 5 })), { maxLength: 60 })
    .map((parts) => parts.join(' '));

  it('never makes a parser throw, nor return a number that is no pid', () => {
    fc.assert(
      fc.property(text, text, (one, other) => {
        const stat = parseProcStat(one);
        const entries = [
          ...parsePs(one, other),
          ...parsePs(one, one),
          ...parseCim(one),
          ...(stat ? [stat] : []),
        ];
        for (const { pid, startTime } of entries) {
          expect(Number.isSafeInteger(pid)).toBe(true);
          expect(startTime).toMatch(/^\d+$/);
        }
        expect(typeof parseBootId(one)).toBe('string');
      }),
      FUZZ,
    );
  });
});
