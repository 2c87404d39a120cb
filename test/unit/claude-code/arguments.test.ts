import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runs } from '../../../kit/property.ts';
import { type EmptyValue, normalizeSpawnArgs } from '../../../src/claude-code/arguments.ts';
import { isSupervisorError, SupervisorError } from '../../../src/errors.ts';

const RUNS = runs(500);

// The arguments that each Agent SDK version writes (FACTS.md, "Arguments").
const SDK_ARGS = [
  {
    sdk: '0.1.77 and 0.2.50, by default',
    args: ['--verbose', '--setting-sources', '', '--permission-mode', 'default'],
    join: ['--verbose', '--setting-sources=', '--permission-mode', 'default'],
    drop: ['--verbose', '--permission-mode', 'default'],
  },
  {
    sdk: '0.1.77 and 0.2.50, settingSources: [] and tools: []',
    args: ['--setting-sources', '', '--tools', '', '--max-turns', '1'],
    join: ['--setting-sources=', '--tools=', '--max-turns', '1'],
    drop: ['--max-turns', '1'],
  },
  {
    sdk: '0.2.141 to 0.3.250, settingSources: [] and tools: []',
    args: ['--setting-sources=', '--tools', '', '--verbose'],
    join: ['--setting-sources=', '--tools=', '--verbose'],
    drop: ['--setting-sources=', '--verbose'],
  },
  {
    sdk: '0.3.330, settingSources: [] and tools: []',
    args: ['--setting-sources=', '--tools=', '--resume=6f1c'],
    join: ['--setting-sources=', '--tools=', '--resume=6f1c'],
    drop: ['--setting-sources=', '--tools=', '--resume=6f1c'],
  },
  {
    sdk: 'every version, extraArgs: {x: ""}',
    args: ['--output-format', 'stream-json', '--x', ''],
    join: ['--output-format', 'stream-json', '--x='],
    drop: ['--output-format', 'stream-json'],
  },
];

const CASES: { what: string; args: string[]; join: string[] }[] = [
  { what: 'nothing', args: [], join: [] },
  { what: 'a lone empty argument', args: [''], join: [''] },
  { what: 'the second of two empty arguments', args: ['--a', '', ''], join: ['--a=', ''] },
  { what: 'after a positional', args: ['run', ''], join: ['run', ''] },
  { what: 'after a short flag', args: ['-p', ''], join: ['-p', ''] },
  { what: 'after --flag=', args: ['--a=', ''], join: ['--a=', ''] },
  { what: 'after --flag=value', args: ['--a=b', ''], join: ['--a=b', ''] },
  { what: 'after the terminator', args: ['--', ''], join: ['--', ''] },
  { what: 'a pair after the terminator', args: ['--', '--a', ''], join: ['--', '--a', ''] },
  { what: 'a pair before the terminator', args: ['--a', '', '--', ''], join: ['--a=', '--', ''] },
  { what: 'two flags in a row', args: ['--a', '--b', ''], join: ['--a', '--b='] },
  { what: 'a text that begins with dashes', args: ['-- a list', ''], join: ['-- a list', ''] },
  { what: 'a text with dashes in it', args: ['a--b', ''], join: ['a--b', ''] },
  { what: 'a rule of dashes', args: ['---', ''], join: ['---', ''] },
  { what: 'a blank value', args: ['--a', ' '], join: ['--a', ' '] },
  { what: 'a trailing flag', args: ['--a'], join: ['--a'] },
];

describe('normalizeSpawnArgs', () => {
  it.each(SDK_ARGS)('treats the arguments of SDK $sdk', ({ args, join, drop }) => {
    expect(normalizeSpawnArgs(args)).toEqual(join);
    expect(normalizeSpawnArgs(args, { emptyValue: 'join' })).toEqual(join);
    expect(normalizeSpawnArgs(args, { emptyValue: 'drop' })).toEqual(drop);
    expect(normalizeSpawnArgs(args, { emptyValue: 'keep' })).toEqual(args);
  });

  it.each(CASES)('joins only a flag and its empty value: $what', ({ args, join }) => {
    expect(normalizeSpawnArgs(args)).toEqual(join);
  });

  it.each<EmptyValue>(['join', 'drop', 'keep'])('returns a new array (%s)', (emptyValue) => {
    const args = Object.freeze(['--a', 'b']);
    expect(normalizeSpawnArgs(args, { emptyValue })).not.toBe(args);
  });
});

describe('normalizeSpawnArgs, for any arguments', () => {
  const anArgument = fc.oneof(
    fc.constantFrom('', '--', '-x', '--tools', '--setting-sources', '--a=', '--a=b', 'value', ' '),
    fc.string(),
  );
  const anArgv = fc.array(anArgument, { maxLength: 12 });
  const anEmptyValue = fc.constantFrom<EmptyValue>('join', 'drop', 'keep');
  const beforeTerminator = (args: readonly string[]) =>
    args.includes('--') ? args.slice(0, args.indexOf('--')) : args;

  it('leaves everything from the terminator on unchanged', () => {
    fc.assert(
      fc.property(anArgv, anArgv, anEmptyValue, (head, tail, emptyValue) => {
        const flags = head.filter((arg) => arg !== '--');
        const result = normalizeSpawnArgs([...flags, '--', ...tail], { emptyValue });
        expect(result.slice(result.indexOf('--'))).toEqual(['--', ...tail]);
        expect(beforeTerminator(result)).toEqual(normalizeSpawnArgs(flags, { emptyValue }));
      }),
      RUNS,
    );
  });

  it('rewrites the pairs and no other argument', () => {
    const aPair = fc.constantFrom('--tools', '--x', '--setting-sources').map((flag) => [flag, '']);
    const another = anArgument.filter((arg) => arg !== '' && arg !== '--').map((arg) => [arg]);
    fc.assert(
      fc.property(fc.array(fc.oneof(aPair, another)), (parts) => {
        const args = parts.flat();
        const joined = parts.map(([arg, value]) => (value === '' ? `${arg}=` : arg));
        const dropped = parts.filter(([, value]) => value !== '').flat();
        expect(normalizeSpawnArgs(args)).toEqual(joined);
        expect(normalizeSpawnArgs(args, { emptyValue: 'drop' })).toEqual(dropped);
        expect(normalizeSpawnArgs(args, { emptyValue: 'keep' })).toEqual(args);
      }),
      RUNS,
    );
  });

  it('adds nothing but the sign that joins a pair', () => {
    fc.assert(
      fc.property(anArgv, anEmptyValue, (args, emptyValue) => {
        const left = [...args];
        for (const arg of normalizeSpawnArgs(args, { emptyValue })) {
          const at = left.findIndex((given) => given === arg || `${given}=` === arg);
          expect(at).toBeGreaterThanOrEqual(0);
          left.splice(0, at + 1);
        }
      }),
      RUNS,
    );
  });

  it('accepts or refuses any input, naming the field', () => {
    const input = fc.oneof(
      fc.jsonValue(),
      fc.array(fc.oneof(anArgument, fc.jsonValue())),
      fc.anything(),
    );
    fc.assert(
      fc.property(input, fc.oneof(anEmptyValue, fc.jsonValue()), (args, emptyValue) => {
        try {
          const result = normalizeSpawnArgs(args as string[], { emptyValue } as object);
          expect(result.every((arg) => typeof arg === 'string')).toBe(true);
          expect(args).toEqual(expect.any(Array));
        } catch (error) {
          if (!isSupervisorError(error, 'INVALID_OPTIONS')) throw error;
          expect(error.data['field']).toMatch(/^(args(\[\d+\])?|emptyValue)$/);
        }
      }),
      RUNS,
    );
  });

  it('changes nothing in a second pass', () => {
    fc.assert(
      fc.property(anArgv, (args) => {
        const once = normalizeSpawnArgs(args);
        expect(normalizeSpawnArgs(once)).toEqual(once);
      }),
      RUNS,
    );
  });

  it('leaves no long flag with a separate empty value', () => {
    fc.assert(
      fc.property(anArgv, (args) => {
        const flags = beforeTerminator(normalizeSpawnArgs(args));
        flags.forEach((arg, index) => {
          if (/^--\w+$/.test(arg)) expect(flags[index + 1]).not.toBe('');
        });
      }),
      RUNS,
    );
  });
});

describe('normalizeSpawnArgs refuses', () => {
  const refusal = (args: unknown, options?: unknown) => {
    try {
      normalizeSpawnArgs(args as string[], options as { emptyValue: EmptyValue });
    } catch (error) {
      return error as SupervisorError;
    }
    throw new Error('nothing was thrown');
  };

  it('an unknown emptyValue, naming field, value and way out', () => {
    const error = refusal([], { emptyValue: 'split' });
    expect(error).toBeInstanceOf(SupervisorError);
    expect(error.code).toBe('INVALID_OPTIONS');
    expect(error.message).toBe(
      'normalizeSpawnArgs: "emptyValue" is "split", but must be "join" or "drop" or "keep". Correct it, or leave it out for the default.',
    );
    expect(error.data).toEqual({ field: 'emptyValue', value: '"split"' });
  });

  it.each([null, 1, true, {}])('an emptyValue that is no string: %s', (emptyValue) => {
    expect(refusal([], { emptyValue }).code).toBe('INVALID_OPTIONS');
  });

  it('no arguments that are only in the options', () => {
    expect(normalizeSpawnArgs(['--a'], { args: ['--b'] } as object)).toEqual(['--a']);
  });

  it('an unknown option', () => {
    expect(refusal([], { emptyvalue: 'drop' }).message).toContain('"emptyvalue"');
  });

  it('an argument that is no string, naming its index and type but not its value', () => {
    const error = refusal(['--api-key', 'hunter2hunter2', 4242, '']);
    expect(error.code).toBe('INVALID_OPTIONS');
    expect(error.message).toContain('args[2]');
    expect(error.message).toContain('number');
    expect(`${error.message} ${JSON.stringify(error.data)}`).not.toMatch(/4242|hunter2/);
  });

  it.each([[[undefined]], [[null]], [new Array(1)]])('a hole, undefined or null: %j', (args) => {
    expect(refusal(args).code).toBe('INVALID_OPTIONS');
  });

  it.each([undefined, null, '--a', { 0: '--a' }])('arguments that are no array: %j', (args) => {
    expect(refusal(args).message).toMatch(/"args" is .* but must be array/);
  });
});
