import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runs } from '../../../kit/property.ts';
import {
  parseRunningSession,
  pidDomainOf,
  pidOfRecord,
  sessionsFolder,
} from '../../../src/claude-code/running-sessions.ts';

/** As the CLI 2.1.330 has written it. */
const RECORD = {
  ...{ pid: 11216, sessionId: '0d9c95e8-5af9-4422-ae15-94bb8c69f90f', cwd: '/work' },
  ...{ startedAt: 1796058855752, procStart: '2864048', version: '2.1.330', kind: 'interactive' },
  ...{
    entrypoint: 'sdk-ts',
    pidDomain: 'linux:3d12:pid:[4026531836]',
    asksForConvertedSkills: null,
  },
};
const { pid, sessionId, procStart, pidDomain, kind } = RECORD;

describe('parseRunningSession', () => {
  it('reads what tells a process and its session', () => {
    const session = { pid, sessionId, procStart, pidDomain, kind };
    expect(parseRunningSession(JSON.stringify(RECORD))).toEqual(session);
    expect(pidDomainOf('3d12', 'pid:[4026531836]')).toBe(pidDomain);
  });

  it.for([
    ['no JSON', '{'],
    ['an array', '[]'],
    ['null', 'null'],
    ...Object.entries({
      pid: [1, -5, 1.5, '7', null],
      sessionId: [7, 'x'.repeat(129)],
      procStart: [7, '', '-1', '1 2'],
      pidDomain: [null, 'x'.repeat(257)],
      kind: ['', 'a b', '\u001b[2J', 'x'.repeat(65)],
    }).flatMap(([field, values]) =>
      values.map((value) => [`${field} ${value}`, JSON.stringify({ ...RECORD, [field]: value })]),
    ),
  ] as [string, string][])('takes %s for nothing', ([, text]) => {
    expect(parseRunningSession(text)).toBeUndefined();
  });

  it('throws at nothing', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => void parseRunningSession(text)),
      runs(200),
    );
  });
});

it.each([
  ['7.json', 7],
  ['11216.f6f6.key', undefined],
  ['0.json', undefined],
  ['7.json.tmp', undefined],
  ['../7.json', undefined],
])('the pid of %s is %s', (name, expected) => {
  expect(pidOfRecord(name)).toBe(expected);
});

it.each([
  [{ CLAUDE_CONFIG_DIR: '/config', HOME: '/home' }, '/config/sessions'],
  [{ HOME: '/home' }, '/home/.claude/sessions'],
  [{ CLAUDE_CONFIG_DIR: '', HOME: '' }, undefined],
])('the folder of %o is %s', (env, expected) => {
  expect(sessionsFolder(env)).toBe(expected);
});
