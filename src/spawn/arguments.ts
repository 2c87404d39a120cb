import { SupervisorError } from '../errors.ts';

/** What becomes of a long flag with an empty value: `--flag=`, nothing, or `--flag ''` as it is. */
export type EmptyValue = 'join' | 'drop' | 'keep';

const EMPTY_VALUES: readonly unknown[] = ['join', 'drop', 'keep'] satisfies EmptyValue[];

// Neither `--` nor `--name=value`, nor a text that merely begins with dashes.
const LONG_FLAG = /^--[^-=\s][^=\s]*$/;

/**
 * Rewrites each pair `--flag ''` so that no runtime can lose the empty value and leave the flag to
 * take its neighbour for it (Bun up to 1.2.2 drops empty arguments).
 *
 * `'join'` (the default) is what Claude Code reads as the original; `'drop'` removes the pair, which
 * for `--setting-sources ''` and `--tools ''` means the *defaults* and not "none"; `'keep'` changes
 * nothing. An empty argument that follows no long flag is positional and stays, as does everything
 * after `--`.
 *
 * @returns a new array
 * @throws SupervisorError `INVALID_OPTIONS` for an argument that is no string or an unknown option
 */
export function normalizeSpawnArgs(
  args: readonly string[],
  options: { emptyValue?: EmptyValue } = {},
): string[] {
  checkArgs(args);
  const emptyValue = checkEmptyValue(options);
  if (emptyValue === 'keep') return [...args];

  const terminator = args.indexOf('--');
  const normalized: string[] = [];
  for (const [index, arg] of args.entries()) {
    const isFlagValue = arg === '' && LONG_FLAG.test(args[index - 1] ?? '');
    const isLiteral = terminator !== -1 && index > terminator;
    if (!isFlagValue || isLiteral) {
      normalized.push(arg);
      continue;
    }
    const flag = normalized.pop();
    if (emptyValue === 'join') normalized.push(`${flag}=`);
  }
  return normalized;
}

function checkArgs(args: unknown): void {
  if (!Array.isArray(args)) {
    throw new SupervisorError(
      'INVALID_OPTIONS',
      `args must be an array of strings, got ${typeName(args)}. Pass one string per argument.`,
      { data: { field: 'args', type: typeName(args) } },
    );
  }
  for (const [index, arg] of args.entries()) {
    if (typeof arg === 'string') continue;
    // The type only: an argument may be a secret.
    throw new SupervisorError(
      'INVALID_OPTIONS',
      `args[${index}] must be a string, got ${typeName(arg)}. Convert it with String(), or leave it out.`,
      { data: { field: `args[${index}]`, type: typeName(arg) } },
    );
  }
}

function checkEmptyValue(options: { emptyValue?: EmptyValue }): EmptyValue {
  const unknown = Object.keys(options ?? {}).find((key) => key !== 'emptyValue');
  if (unknown !== undefined) {
    throw new SupervisorError(
      'INVALID_OPTIONS',
      `Unknown option '${unknown}' of normalizeSpawnArgs. The only one is 'emptyValue'.`,
      { data: { field: unknown } },
    );
  }
  const { emptyValue = 'join' } = options ?? {};
  if (EMPTY_VALUES.includes(emptyValue)) return emptyValue;
  const shown = typeof emptyValue === 'string' ? `'${emptyValue}'` : typeName(emptyValue);
  throw new SupervisorError(
    'INVALID_OPTIONS',
    `emptyValue must be 'join', 'drop' or 'keep', got ${shown}. Leave it out to join.`,
    { data: { field: 'emptyValue', value: emptyValue } },
  );
}

function typeName(value: unknown): string {
  return value === null ? 'null' : typeof value;
}
