import * as z from 'zod/mini';
import { SupervisorError } from './errors.ts';

// Schemas of the main entry are made at their first use (z.lazy). Making all of them would take a third
// of the import's time (npm run bench -- import).

/** Unwraps a lazy schema, to extend or pick from its object. */
export const made = <S extends z.ZodMiniType>(lazy: z.ZodMiniLazy<S>): S => lazy._zod.innerType;

/** A duration in milliseconds: finite and not negative. It may be longer than Node's timers allow. */
export const durationMs = () => z.number().check(z.nonnegative());

export const NO_NUL = 'must not contain a NUL character, which no system call can pass on';

/** A text without a NUL character, which system calls cannot take. */
export const systemText = () =>
  z.string().check(z.refine((text) => !text.includes('\0'), { error: NO_NUL }));

/** Removes fields that are `undefined`, so that they count as left out. */
export function definedOnly<T extends object>(fields: T): T {
  const entries = Object.entries(fields ?? {}).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as T;
}

/** Replaces zod's own messages, whose language the host may have changed. */
const NO_ADVICE = 'no advice';

/** Values of these fields may be secrets, so a message names only their type. */
const CONFIDENTIAL: ReadonlySet<PropertyKey> = new Set(['args', 'env', 'hostEnv', 'input']);

/**
 * Checks a user's input against a schema.
 *
 * `subject` is the function that it was passed to, and `root` names the input as a whole.
 *
 * @throws SupervisorError `INVALID_OPTIONS` that names the field, the value and the way out
 */
export function parseInput<S extends z.ZodMiniType>(
  schema: S,
  input: unknown,
  subject: string,
  root = 'options',
): z.output<S> {
  const result = schema.safeParse(input, { error: () => NO_ADVICE });
  if (result.success) return result.data;
  const { issues } = result.error;
  const first = issues[0] as z.core.$ZodIssue;
  // A missing field is often there under a wrong name: report the wrong name.
  const issue = (isMissing(input, first) && issues.find(isUnknown)) || first;
  const { path } = issue;
  if (isUnknown(issue)) {
    const field = fieldAt([...path, issue.keys[0] ?? '']);
    const known = knownKeys(schema, path);
    const meant = known.find((name) => isShortFor(issue.keys[0] ?? '', name));
    const guess = meant === undefined ? '' : ` Did you mean "${meant}"?`;
    throw invalid(
      `${subject}: unknown option "${field}".${guess} Known here: ${known.join(', ')}.`,
      { field },
    );
  }
  const field = fieldAt(path) || root;
  const at = valueAt(input, path);
  const value = path.some((key) => CONFIDENTIAL.has(key)) ? kindOf(at) : show(at);
  const advice = isRequired(schema, input, path)
    ? `${at === undefined ? 'Pass' : 'Correct'} it; it has no default`
    : 'Correct it, or leave it out for the default';
  throw invalid(`${subject}: "${field}" is ${value}, but ${expectation(issue)}. ${advice}.`, {
    field,
    value,
  });
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce((in_: unknown, key) => (in_ as Record<PropertyKey, unknown>)?.[key], input);
}

function isMissing(input: unknown, { path }: z.core.$ZodIssue): boolean {
  return path.length > 0 && valueAt(input, path) === undefined;
}

function isUnknown(issue: z.core.$ZodIssue): issue is z.core.$ZodIssueUnrecognizedKeys {
  return issue.code === 'unrecognized_keys';
}

/** Returns `true` if the input without this field has an issue in the same place. */
function isRequired(schema: z.ZodMiniType, input: unknown, path: readonly PropertyKey[]): boolean {
  const [key, ...rest] = path;
  if (key === undefined) return !schema.safeParse(undefined).success;
  if (rest.length > 0 || typeof input !== 'object' || input === null) return false;
  const without = schema.safeParse({ ...input, [key]: undefined });
  return without.error?.issues.some((issue) => issue.path[0] === key) ?? false;
}

/** Matches abbreviations, such as `cmd` for `command` and `arg` for `args`. */
function isShortFor(short: string, name: string): boolean {
  if (short.length < 2 || short[0]?.toLowerCase() !== name[0]?.toLowerCase()) return false;
  let at = 0;
  for (const letter of name) if (letter === short[at]) at += 1;
  return at === short.length;
}

/** Formats a path as `pool.concurrency` or `args[0]`. */
function fieldAt(path: readonly PropertyKey[]): string {
  return path
    .map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`))
    .join('')
    .replace(/^\./, '');
}

function invalid(message: string, data: Record<string, unknown>): SupervisorError {
  return new SupervisorError('INVALID_OPTIONS', message, { data });
}

function expectation(issue: z.core.$ZodIssue): string {
  switch (issue.message === NO_ADVICE && issue.code) {
    case 'too_small':
      return minimum(issue as z.core.$ZodIssueTooSmall);
    case 'too_big':
      return `must be at most ${(issue as z.core.$ZodIssueTooBig).maximum}`;
    case 'invalid_type':
      return `must be ${(issue as z.core.$ZodIssueInvalidType).expected}`;
    case 'invalid_value':
      return `must be ${(issue as z.core.$ZodIssueInvalidValue).values.map(show).join(' or ')}`;
    default:
      return issue.message === NO_ADVICE ? 'this is not valid here' : issue.message;
  }
}

function minimum({ origin, minimum }: z.core.$ZodIssueTooSmall): string {
  return origin === 'string' && minimum === 1 ? 'must not be empty' : `must be at least ${minimum}`;
}

/** Lists the keys of the strict object at `path`, below records, defaults, transforms, unions and z.lazy. */
function knownKeys(schema: unknown, path: readonly PropertyKey[]): string[] {
  const {
    shape,
    innerType,
    valueType,
    in: source,
    options: members = [],
    getter,
  } = (schema as z.ZodMiniType)._zod.def as unknown as {
    [key: string]: unknown;
    shape?: Record<string, unknown>;
    options?: readonly z.ZodMiniType[];
    getter?: () => unknown;
  };
  if (valueType !== undefined) return knownKeys(valueType, path.slice(1));
  const object = members.find((member) => 'shape' in member._zod.def);
  if (shape === undefined) return knownKeys(innerType ?? source ?? object ?? getter?.(), path);
  const [key, ...rest] = path;
  return key === undefined ? Object.keys(shape) : knownKeys(shape[String(key)], rest);
}

function kindOf(value: unknown): string {
  return value === null
    ? 'null'
    : `a value of type ${Array.isArray(value) ? 'array' : typeof value}`;
}

function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 80));
  return typeof value === 'object' || typeof value === 'function' ? kindOf(value) : String(value);
}
