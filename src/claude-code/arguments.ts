import * as z from 'zod/mini';
import { parseInput } from '../check.ts';

/**
 * The treatment of a long flag with an empty value: `--flag=`, removed, or `--flag ''` unchanged.
 */
export type EmptyValue = 'join' | 'drop' | 'keep';

/** @internal */
export const emptyValue = z.lazy(() => z._default(z.enum(['join', 'drop', 'keep']), 'join'));

const inputSchema = z.lazy(() => z.strictObject({ args: z.array(z.string()), emptyValue }));

// Neither `--`, nor `--name=value`, nor a text that merely begins with dashes.
const LONG_FLAG = /^--[^-=\s][^=\s]*$/;

/**
 * Rewrites each pair `--flag ''` so that no runtime can drop the empty value. Bun up to 1.2.2 drops
 * empty arguments; the flag would then take the next argument as its value.
 *
 * `'join'` (the default) writes `--flag=`, which Claude Code reads the same. `'drop'` removes the
 * pair, which for `--setting-sources ''` and `--tools ''` means the *defaults* and not "none".
 * `'keep'` changes nothing. An empty argument after anything but a long flag is positional and
 * stays, as does everything after `--`.
 *
 * @returns a new array
 * @throws SupervisorError `INVALID_OPTIONS` for an argument that is no string or an unknown option
 */
export function normalizeSpawnArgs(
  args: readonly string[],
  options: { emptyValue?: EmptyValue } = {},
): string[] {
  const checked = parseInput(inputSchema, { ...options, args }, 'normalizeSpawnArgs');
  return normalize(checked.args, checked.emptyValue);
}

/** {@link normalizeSpawnArgs} for arguments that have been checked. */
export function normalize(args: readonly string[], emptyValue: EmptyValue): string[] {
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
