import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runs } from '../../../kit/property.ts';
import { DROPPED_WHEN_NESTED } from '../../../src/claude-code/session-marks.ts';
import { isSupervisorError } from '../../../src/errors.ts';
import {
  ALWAYS_DROPPED,
  ESSENTIAL_NAMES,
  isNested,
  neededBy,
  type SanitizeOptions,
  sanitizeEnv,
} from '../../../src/process/environment.ts';

const RUNS = runs(500);

const TIER_1 = [
  'CLAUDECODE',
  'CLAUDE_CODE_SESSION',
  'CLAUDE_CODE_SESSION_ID',
  'CLAUDE_CODE_CHILD_SESSION',
  'CLAUDE_CODE_SESSION_ATTENDED',
  'CLAUDE_CODE_MESSAGING_SOCKET',
  'CLAUDE_CODE_MESSAGING_TOKEN',
  'CLAUDE_CODE_CHILD_NOTES_DIR',
  'CLAUDE_CODE_LAUNCHED_BY_SESSION_IDS',
  'CLAUDE_CODE_SESSION_ACCESS_TOKEN',
  'CLAUDE_CODE_HOST_SHORT_TEMP_DIRS',
  'CLAUDE_JOB_DIR',
  'CLAUDE_PID',
  'AI_AGENT',
  'MCP_SESSION_ID',
];
const TIER_2 = [
  'CLAUDE_CODE_ENTRYPOINT',
  'CLAUDE_CODE_EXECPATH',
  'CLAUDE_EFFORT',
  'CLAUDE_CODE_EFFORT_LEVEL',
  'CLAUDE_CODE_ALWAYS_ENABLE_EFFORT',
];
/** Marks of the sessions of other agents. */
const OTHER_AGENTS = [
  ...['CODEX_SANDBOX', 'CODEX_SANDBOX_NETWORK_DISABLED', 'CODEX_THREAD_ID', 'CODEX_SESSION_ID'],
  ...['CODEX_PERMISSION_PROFILE', 'CODEX_CI', 'CODEX_INTERNAL_ORIGINATOR_OVERRIDE'],
  ...['GEMINI_CLI', 'OPENCODE', 'OPENCODE_PID', 'OPENCODE_RUN_ID', 'OPENCODE_PROCESS_ROLE'],
  'CURSOR_AGENT',
];
/** What a debugger or an editor has set for the host alone. */
const HOST_ONLY = [
  ...['VSCODE_INSPECTOR_OPTIONS', 'ELECTRON_RUN_AS_NODE', 'CLAUDE_CODE_SSE_PORT'],
  'CURSOR_TRACE_ID',
];
// Users lost their logins, their proxy or their privacy where these were stripped (FACTS.md).
const NEVER_DROPPED = [
  'CLAUDE_CODE_OAUTH_TOKEN',
  'CLAUDE_CODE_USE_BEDROCK',
  'CLAUDE_CODE_USE_VERTEX',
  'CLAUDE_CODE_USE_FOUNDRY',
  'CLAUDE_CODE_SKIP_BEDROCK_AUTH',
  'CLAUDE_CODE_SKIP_VERTEX_AUTH',
  'CLAUDE_CODE_GIT_BASH_PATH',
  'CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC',
  'CLAUDE_CODE_SDK_READS_SESSION_STATE',
  'CLAUDE_AGENT_SDK_VERSION',
  'CLAUDE_CONFIG_DIR',
  ...['CODEX_HOME', 'CODEX_API_KEY', 'OPENAI_API_KEY', 'GEMINI_API_KEY', 'GEMINI_CLI_HOME'],
  ...['OPENCODE_CONFIG', 'OPENCODE_SERVER_PASSWORD', 'CURSOR_API_KEY', 'NODE_ENV', 'AGENT'],
  'ANTHROPIC_API_KEY',
  'ANTHROPIC_BASE_URL',
  'AWS_PROFILE',
  'AWS_REGION',
  'AWS_SECRET_ACCESS_KEY',
  'GOOGLE_APPLICATION_CREDENTIALS',
  'CLOUD_ML_REGION',
  ...['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'ALL_PROXY'],
  ...['http_proxy', 'https_proxy', 'no_proxy', 'all_proxy'],
  ...['PATH', 'HOME', 'CLAUDECODER', 'XCLAUDECODE'],
];

const setAll = (names: readonly string[], value = 'inherited') =>
  Object.fromEntries(names.map((name) => [name, value]));
const namesOf = (env: Record<string, string>) => Object.keys(env).sort();

describe('the built-in lists', () => {
  it('are these, and frozen', () => {
    const claudes = ['CLAUDECODE', 'CLAUDECODE_*', ...TIER_1.slice(1)];
    expect(ALWAYS_DROPPED).toEqual([...claudes, ...OTHER_AGENTS, ...HOST_ONLY]);
    expect(DROPPED_WHEN_NESTED).toEqual(TIER_2);
    for (const list of [ALWAYS_DROPPED, DROPPED_WHEN_NESTED, ESSENTIAL_NAMES]) {
      expect(Object.isFrozen(list)).toBe(true);
    }
  });

  it('name as essential what programs need, and no login', () => {
    expect(ESSENTIAL_NAMES).toEqual(
      expect.arrayContaining(['PATH', 'HOME', 'TMPDIR', 'SystemRoot']),
    );
    const { env } = sanitizeEnv(setAll(NEVER_DROPPED), { allow: ESSENTIAL_NAMES });
    expect(namesOf(env)).toEqual(['HOME', 'PATH']);
  });
});

describe('sanitizeEnv', () => {
  it('takes process.env and the like, which are no plain objects', () => {
    class Variables {
      readonly CLAUDECODE = '1';
      readonly HOME = '/home/user';
    }
    const env: Record<string, string> = { ...new Variables() };
    Object.setPrototypeOf(env, Variables.prototype);
    expect(sanitizeEnv(env).env).toEqual({ HOME: '/home/user' });
    expect(sanitizeEnv({}, { hostEnv: process.env })).toEqual({ env: {}, dropped: [] });
    expect(sanitizeEnv(process.env).env['PATH']).toBe(process.env['PATH']);
  });

  it('takes the marks of the outer session out of a whole environment', () => {
    const host = { ...setAll(TIER_1), CLAUDECODE_ANYTHING: '1', PATH: '/bin' };
    const result = sanitizeEnv(host);
    expect(result).toEqual({
      env: { PATH: '/bin' },
      dropped: [...TIER_1, 'CLAUDECODE_ANYTHING'].sort(),
    });
    expect(result.env).not.toBe(host);
  });

  it.each(TIER_1)('drops %s, and with it what an outer agent hands down', (mark) => {
    const { env, dropped } = sanitizeEnv({ ...setAll(TIER_2), [mark]: '1' });
    expect(env).toEqual({});
    expect(dropped).toEqual([...TIER_2, mark].sort());
  });

  it.each([...OTHER_AGENTS, ...HOST_ONLY])('drops %s, and no setting of Claude Code', (mark) => {
    const settings = setAll(TIER_2, 'mine');
    expect(sanitizeEnv({ ...settings, [mark]: '1' })).toEqual({ env: settings, dropped: [mark] });
    expect(sanitizeEnv({ [mark]: 'set' }, { hostEnv: { [mark]: '1' } }).dropped).toEqual([]);
  });

  it.each(TIER_2)('keeps %s in a host that is not nested', (name) => {
    expect(sanitizeEnv({ [name]: 'mine' })).toEqual({ env: { [name]: 'mine' }, dropped: [] });
  });

  it.each(NEVER_DROPPED)('keeps %s in a nested host', (name) => {
    const { env } = sanitizeEnv({ ...setAll(TIER_1), [name]: 'v' });
    expect(env).toEqual({ [name]: 'v' });
  });

  it('drops only what the host has with the same value', () => {
    const hostEnv = { CLAUDECODE: '1', CLAUDE_CODE_ENTRYPOINT: 'cli', CLAUDE_EFFORT: 'high' };
    const env = { CLAUDECODE: '1', CLAUDE_CODE_ENTRYPOINT: 'sdk-ts', AI_AGENT: 'mine' };
    expect(sanitizeEnv(env, { hostEnv })).toEqual({
      env: { CLAUDE_CODE_ENTRYPOINT: 'sdk-ts', AI_AGENT: 'mine' },
      dropped: ['CLAUDECODE'],
    });
  });

  it('judges nesting by the host, not by what the caller passes', () => {
    const env = { CLAUDE_EFFORT: 'high' };
    expect(sanitizeEnv(env, { hostEnv: { ...env, CLAUDECODE: '1' } }).env).toEqual({});
    expect(sanitizeEnv({ ...env, CLAUDECODE: '1' }, { hostEnv: env }).env).toEqual({
      CLAUDE_EFFORT: 'high',
      CLAUDECODE: '1',
    });
  });

  it('passes over undefined values in silence', () => {
    expect(sanitizeEnv({ A: undefined, CLAUDECODE: undefined, CLAUDE_EFFORT: 'x' })).toEqual({
      env: { CLAUDE_EFFORT: 'x' },
      dropped: [],
    });
  });

  it('keeps a variable with an unlucky name', () => {
    const env = JSON.parse('{"__proto__": "a", "constructor": "b", "toString": "c"}');
    expect(Object.entries(sanitizeEnv(env).env)).toEqual(Object.entries(env));
    expect(Object.entries(sanitizeEnv(env, { hostEnv: {} }).env)).toEqual(Object.entries(env));
  });
});

describe('NODE_OPTIONS', () => {
  it('loses its inspector, and keeps the rest', () => {
    const env = { NODE_OPTIONS: '--inspect-brk=0 --enable-source-maps', PATH: '/bin' };
    expect(sanitizeEnv(env)).toEqual({
      env: { NODE_OPTIONS: '--enable-source-maps', PATH: '/bin' },
      dropped: ['NODE_OPTIONS --inspect-brk'],
    });
  });

  it('goes if nothing is left of it', () => {
    expect(sanitizeEnv({ NODE_OPTIONS: '--inspect' })).toEqual({
      env: {},
      dropped: ['NODE_OPTIONS', 'NODE_OPTIONS --inspect'],
    });
    expect(sanitizeEnv({ NODE_OPTIONS: '' })).toEqual({ env: { NODE_OPTIONS: '' }, dropped: [] });
  });

  it('stays where the caller has set it, or a rule keeps it', () => {
    const env = { NODE_OPTIONS: '--inspect' };
    expect(sanitizeEnv(env, { hostEnv: { NODE_OPTIONS: '--inspect=1' } }).env).toEqual(env);
    expect(sanitizeEnv(env, { keep: ['NODE_*'] }).env).toEqual(env);
    expect(sanitizeEnv(env, { deny: ['NODE_*'] }).dropped).toEqual(['NODE_OPTIONS']);
    expect(sanitizeEnv(env, { allow: ['NODE_*'] }).env).toEqual({});
  });

  it('is spelled as it likes on Windows', () => {
    const env = { Node_Options: '--inspect -r x' };
    expect(sanitizeEnv(env).dropped).toEqual([]);
    expect(sanitizeEnv(env, { ignoreCase: true })).toEqual({
      env: { Node_Options: '-r x' },
      dropped: ['Node_Options --inspect'],
    });
  });
});

describe('neededBy', () => {
  it("keeps the host's own Electron a Node", () => {
    const electronPath = '/opt/app/app';
    expect(neededBy('/opt/app/app', { electronPath })).toEqual(['ELECTRON_RUN_AS_NODE']);
    expect(neededBy('/usr/bin/node', { electronPath })).toEqual([]);
    expect(neededBy(process.execPath, {})).toEqual([]);
  });
});

describe('the rules', () => {
  const env = { CLAUDECODE: '1', FOO_A: '1', FOO_B: '2', BAR: '3', PATH: '/bin' };
  const CASES: { what: string; options: SanitizeOptions; kept: string[] }[] = [
    { what: 'deny by name', options: { deny: ['BAR'] }, kept: ['FOO_A', 'FOO_B', 'PATH'] },
    { what: 'deny by prefix', options: { deny: ['FOO_*'] }, kept: ['BAR', 'PATH'] },
    { what: 'deny by expression', options: { deny: [/_[AB]$/] }, kept: ['BAR', 'PATH'] },
    {
      what: 'a name is no prefix',
      options: { deny: ['FOO'] },
      kept: ['BAR', 'FOO_A', 'FOO_B', 'PATH'],
    },
    { what: '* is everything', options: { deny: ['*'] }, kept: [] },
    {
      what: 'an empty pattern is nothing',
      options: { deny: [''] },
      kept: ['BAR', 'FOO_A', 'FOO_B', 'PATH'],
    },
    {
      what: 'no patterns',
      options: { deny: [], keep: [] },
      kept: ['BAR', 'FOO_A', 'FOO_B', 'PATH'],
    },
    {
      what: 'keep beats the lists',
      options: { keep: ['CLAUDECODE'], allow: [] },
      kept: ['CLAUDECODE'],
    },
    { what: 'keep beats deny', options: { keep: ['FOO_A'], deny: ['*'] }, kept: ['FOO_A'] },
    { what: 'an empty allow-list', options: { allow: [] }, kept: [] },
    {
      what: 'an allow-list',
      options: { allow: ['PATH', /^FOO/] },
      kept: ['FOO_A', 'FOO_B', 'PATH'],
    },
    { what: 'deny beats allow', options: { allow: ['FOO_*'], deny: ['FOO_A'] }, kept: ['FOO_B'] },
    { what: 'the lists beat allow', options: { allow: ['CLAUDECODE', 'BAR'] }, kept: ['BAR'] },
    {
      what: 'the caller beats deny, allow and the lists',
      options: { hostEnv: { BAR: '3' }, deny: ['*'], allow: [] },
      kept: ['CLAUDECODE', 'FOO_A', 'FOO_B', 'PATH'],
    },
  ];

  it.each(CASES)('$what', ({ options, kept }) => {
    const result = sanitizeEnv(env, options);
    expect(namesOf(result.env)).toEqual(kept);
    expect([...namesOf(result.env), ...result.dropped].sort()).toEqual(namesOf(env));
  });

  it.each(['g', 'y', 'gy'])('are not confused by the flags /%s, nor move them', (flags) => {
    const pattern = new RegExp('FOO_', flags);
    pattern.lastIndex = 3;
    expect(sanitizeEnv(env, { deny: [pattern] }).dropped).toEqual(['CLAUDECODE', 'FOO_A', 'FOO_B']);
    expect(pattern.lastIndex).toBe(3);
  });

  it('regard the case of names, unless told not to', () => {
    const hostEnv = { Path: 'C:\\', ClaudeCode: '1', Claude_Effort: 'x', foo: '1', bar: '2' };
    const options: SanitizeOptions = { hostEnv, deny: ['FOO', /^BAR$/] };
    const spelled = { PATH: 'C:\\', claudecode: '1', CLAUDE_EFFORT: 'x', Foo: '1', Bar: '2' };
    expect(sanitizeEnv(spelled, options).dropped).toEqual([]);
    expect(sanitizeEnv(spelled, { ...options, ignoreCase: true })).toEqual({
      env: { PATH: 'C:\\' },
      dropped: ['Bar', 'CLAUDE_EFFORT', 'Foo', 'claudecode'],
    });
    expect(
      namesOf(sanitizeEnv({ PATH: 'C:\\' }, { allow: ['path'], ignoreCase: true }).env),
    ).toEqual(['PATH']);
  });
});

describe('sanitizeEnv refuses', () => {
  const REFUSED: { what: string; options: unknown; field: string }[] = [
    { what: 'a string for a list', options: { deny: 'FOO' }, field: 'deny' },
    { what: 'null for a list', options: { keep: null }, field: 'keep' },
    { what: 'a lone expression', options: { allow: /x/ }, field: 'allow' },
    { what: 'a number in a list', options: { deny: ['A', 5] }, field: 'deny[1]' },
    { what: 'null in a list', options: { keep: [null] }, field: 'keep[0]' },
    { what: 'a hole in a list', options: { allow: new Array(1) }, field: 'allow[0]' },
    { what: 'an unknown option', options: { denied: ['A'] }, field: 'denied' },
    { what: 'a hostEnv that is none', options: { hostEnv: 'x' }, field: 'hostEnv' },
    { what: 'options that are none', options: null, field: 'options' },
  ];

  it.each(REFUSED)('$what', ({ options, field }) => {
    expect(() => sanitizeEnv({ A: 'a' }, options as SanitizeOptions)).toThrow(
      expect.objectContaining({
        code: 'INVALID_OPTIONS',
        data: expect.objectContaining({ field }),
      }),
    );
  });

  it('a value that is no string, without printing it', () => {
    try {
      sanitizeEnv({ PIN: 424242 } as unknown as Record<string, string>);
      expect.unreachable();
    } catch (error) {
      if (!isSupervisorError(error, 'INVALID_OPTIONS')) throw error;
      expect(error.message).toContain('env.PIN');
      expect(`${error.message}${JSON.stringify(error.data)}`).not.toContain('424242');
    }
  });
});

describe('isNested', () => {
  it.each([...TIER_1, ...OTHER_AGENTS, 'CLAUDECODE_X'])('is shown by %s', (name) => {
    expect(isNested({ [name]: '' })).toBe(true);
    expect(isNested({ [name]: undefined })).toBe(false);
    expect(isNested({ [name.toLowerCase()]: '1' })).toBe(false);
    expect(isNested({ [name.toLowerCase()]: '1' }, true)).toBe(true);
  });

  it.each([...TIER_2, ...HOST_ONLY, ...NEVER_DROPPED])('is not shown by %s', (name) => {
    expect(isNested({ [name]: '1' })).toBe(false);
  });
});

describe('sanitizeEnv, for any environment', () => {
  const aName = fc.oneof(
    fc.constantFrom(...TIER_1, ...TIER_2, ...NEVER_DROPPED, '__proto__', 'CLAUDECODE_X'),
    fc.string({ minLength: 1 }),
  );
  // Own properties only, whatever the name: assignment to `__proto__` would not make one.
  const anEnv = fc
    .array(fc.tuple(aName, fc.option(fc.string(), { nil: undefined })), { maxLength: 12 })
    .map((entries) => Object.fromEntries(entries));
  const somePatterns = fc.option(fc.array(fc.oneof(aName, fc.constantFrom('CLAUDE*', '*', ''))), {
    nil: undefined,
  });
  const someRules = fc
    .record({ deny: somePatterns, keep: somePatterns, allow: somePatterns })
    .map((rules) => rules as SanitizeOptions);

  it('gives a part of it and names the rest', () => {
    fc.assert(
      fc.property(anEnv, anEnv, someRules, (env, other, rules) => {
        const hostEnv = { ...env, ...other };
        const result = sanitizeEnv(env, { ...rules, hostEnv });
        const given = Object.entries(env).filter(([, value]) => value !== undefined);
        for (const [name, value] of Object.entries(result.env)) {
          expect(given).toContainEqual([name, value]);
          expect(result.dropped).not.toContain(name);
        }
        const all = [...Object.keys(result.env), ...result.dropped].sort();
        expect(all).toEqual(given.map(([name]) => name).sort());
        expect(result.dropped).toEqual([...result.dropped].sort());
      }),
      RUNS,
    );
  });

  it('never touches what the caller set', () => {
    fc.assert(
      fc.property(anEnv, anEnv, someRules, (hostEnv, set, rules) => {
        const { env } = sanitizeEnv({ ...hostEnv, ...set }, { ...rules, hostEnv });
        const kept = new Map(Object.entries(env));
        const inherited = new Map(Object.entries(hostEnv));
        for (const [name, value] of Object.entries(set)) {
          if (value !== undefined && inherited.get(name) !== value)
            expect(kept.get(name)).toBe(value);
        }
      }),
      RUNS,
    );
  });

  it('never lets a mark of the outer session through', () => {
    fc.assert(
      fc.property(anEnv, fc.constantFrom(...TIER_1), (env, mark) => {
        const { env: kept, dropped } = sanitizeEnv({ ...env, [mark]: 'v' });
        for (const name of [...TIER_1, ...TIER_2]) expect(Object.keys(kept)).not.toContain(name);
        expect(dropped).toContain(mark);
      }),
      RUNS,
    );
  });

  it('takes or refuses whatever it is given, naming the field', () => {
    const anything = fc.oneof(fc.jsonValue(), fc.anything());
    const wrongly = (right: fc.Arbitrary<unknown>) =>
      fc.oneof({ weight: 3, arbitrary: right }, { weight: 1, arbitrary: anything });
    const rule = fc.array(fc.oneof(aName, fc.constant(/^X/g), fc.jsonValue()), { maxLength: 4 });
    const options = fc.record(
      {
        ...{ deny: wrongly(rule), keep: wrongly(rule), allow: wrongly(rule) },
        ...{ hostEnv: wrongly(anEnv), ignoreCase: wrongly(fc.boolean()), other: anything },
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(wrongly(anEnv), wrongly(options), (env, rules) => {
        try {
          const result = sanitizeEnv(env as Record<string, string>, rules as SanitizeOptions);
          expect(Object.values(result.env).every((value) => typeof value === 'string')).toBe(true);
        } catch (error) {
          if (!isSupervisorError(error, 'INVALID_OPTIONS')) throw error;
          const field = String(error.data['field']);
          expect(error.message).toContain(`"${field}"`);
          const [root = ''] = field.split(/[.[]/, 1);
          const names = ['options', 'env', ...Object.keys((rules as object | null) ?? {})];
          expect(names.some((name) => name === field || name === root)).toBe(true);
        }
      }),
      RUNS,
    );
  });

  it('never reports a value', () => {
    fc.assert(
      fc.property(anEnv, someRules, (env, rules) => {
        const marked = Object.fromEntries(
          Object.keys(env).map((name, index) => [name, `value-number-${index}`]),
        );
        expect(JSON.stringify(sanitizeEnv(marked, rules).dropped)).not.toContain('value-number');
      }),
      RUNS,
    );
  });
});
