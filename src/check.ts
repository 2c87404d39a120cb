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
    const meant = meantBy(issue.keys[0] ?? '', known, schema, path);
    const guess = meant === undefined ? '' : ` Did you mean "${meant}"?`;
    throw invalid(
      `${subject}: unknown option "${field}".${guess} Known here: ${known.join(', ')}.`,
      { field },
    );
  }
  const field = fieldAt(path) || root;
  const at = valueAt(input, path);
  const value = path.some((key) => CONFIDENTIAL.has(key)) ? kindOf(at) : show(at);
  const advice = adviceFor(schema, input, issue);
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

function adviceFor(schema: z.ZodMiniType, input: unknown, { path, ...issue }: z.core.$ZodIssue) {
  const isWhole = path.length === 0 && issue.code === 'invalid_type' && issue.expected === 'object';
  if (isWhole && isRequired(schema, input, path)) {
    const isCommand = knownKeys(schema, path).includes('command');
    return `Pass an object${isCommand ? ', such as { command: "ls", args: ["-l"] }' : ''}`;
  }
  if (path.length === 1 && isForbidden(schemaOf(schema, path))) return 'Leave it out';
  if (!isRequired(schema, input, path)) return 'Correct it, or leave it out for the default';
  return `${valueAt(input, path) === undefined ? 'Pass' : 'Correct'} it; it has no default`;
}

/** Returns `true` if the input without this field has an issue in the same place. */
function isRequired(schema: z.ZodMiniType, input: unknown, path: readonly PropertyKey[]): boolean {
  const [key, ...rest] = path;
  if (key === undefined) return !schema.safeParse(undefined).success;
  if (rest.length > 0 || typeof input !== 'object' || input === null) return false;
  const { [key]: _, ...others } = input as Record<PropertyKey, unknown>;
  const without = schema.safeParse(others);
  return without.error?.issues.some((issue) => issue.path[0] === key) ?? false;
}

/** Finds the known option that was meant: one that reads alike, or one of that name in a group. */
function meantBy(
  name: string,
  known: readonly string[],
  schema: z.ZodMiniType,
  path: readonly PropertyKey[],
): string | undefined {
  const alike = known.find((other) => isShortFor(name.toLowerCase(), other.toLowerCase()));
  const group = known.find((other) => knownKeys(schema, [...path, other]).includes(name));
  return alike ?? (group && `${fieldAt([...path, group])}.${name}`);
}

/** Matches abbreviations, such as `cmd` for `command` and `arg` for `args`. */
function isShortFor(short: string, name: string): boolean {
  if (short.length < 2 || short[0] !== name[0]) return false;
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

/** Lists the keys of the strict object at `path`, without those that must be left out. */
function knownKeys(schema: z.ZodMiniType, path: readonly PropertyKey[]): string[] {
  const { shape = {} } = definitionOf(schemaOf(schema, path));
  return Object.keys(shape).filter((key) => !isForbidden(shape[key]));
}

/** Finds the schema at `path`, below records, defaults, transforms, unions and z.lazy. */
function schemaOf(schema: unknown, path: readonly PropertyKey[]): unknown {
  if (schema === undefined) return undefined;
  const [key, ...rest] = path;
  const { shape, innerType, valueType, in: source, options = [], getter } = definitionOf(schema);
  if (shape !== undefined) return key === undefined ? schema : schemaOf(shape[String(key)], rest);
  if (valueType !== undefined) return schemaOf(valueType, rest);
  const object = options.find((member) => definitionOf(member).shape !== undefined);
  return schemaOf(innerType ?? source ?? object ?? getter?.(), path) ?? schema;
}

/** Tells whether a field is known only to say why it must be left out. */
function isForbidden(schema: unknown): boolean {
  const { type, innerType } = definitionOf(schema);
  return type === 'optional' ? isForbidden(innerType) : type === 'undefined';
}

interface Definition {
  readonly type?: string;
  readonly shape?: Readonly<Record<string, unknown>>;
  readonly innerType?: unknown;
  readonly valueType?: unknown;
  readonly in?: unknown;
  readonly options?: readonly unknown[];
  readonly getter?: () => unknown;
}

function definitionOf(schema: unknown): Definition {
  return ((schema as z.ZodMiniType | undefined)?._zod.def ?? {}) as Definition;
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
