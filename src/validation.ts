import { z } from 'zod';
import { SupervisorError } from './errors.ts';

/** A duration in milliseconds: finite, not negative, longer than any timer if need be. */
export const durationMs = z.number().nonnegative();

/** Text that a system call can take. */
export const systemText = z.string().refine((text) => !text.includes('\0'), {
  error: 'must not contain a NUL character, which no system call can pass on',
});

/** Values below these fields can be secrets, so a message names only their type. */
const CONFIDENTIAL = new Set(['args', 'env']);

/** Checks what a user wrote; throws `INVALID_OPTIONS` naming the field, the value and the way out. */
export function parseInput<S extends z.ZodType>(
  schema: S,
  input: unknown,
  subject: string,
): z.output<S> {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw invalid(subject, issue as z.core.$ZodIssue, schema, input);
}

function invalid(
  subject: string,
  issue: z.core.$ZodIssue,
  schema: z.ZodType,
  input: unknown,
): SupervisorError {
  const path = issue.path.map(String);
  if (issue.code === 'unrecognized_keys') {
    const field = [...path, issue.keys[0]].join('.');
    const known = knownKeys(schema, path).join(', ');
    return new SupervisorError(
      'INVALID_OPTIONS',
      `${subject}: unknown option "${field}". Known here: ${known}.`,
      {
        data: { field, known },
      },
    );
  }
  const field = path.join('.') || subject;
  const value = valueAt(input, issue.path);
  const shown = path.some((key) => CONFIDENTIAL.has(key)) ? `a ${kindOf(value)}` : show(value);
  return new SupervisorError(
    'INVALID_OPTIONS',
    `${subject}: "${field}" is ${shown}, but ${wish(issue)}. Correct it, or leave it out for the default.`,
    { data: { field, value: shown } },
  );
}

function wish(issue: z.core.$ZodIssue): string {
  if (issue.code === 'custom') return issue.message;
  return issue.message
    .replace(/^Invalid \w+: /, '')
    .replace(/^(Too \w+: )?expected/, 'must be')
    .replace(/, received .*$/, '');
}

function knownKeys(schema: z.ZodType, path: readonly string[]): string[] {
  let at: unknown = schema;
  for (const key of [...path, undefined]) {
    while (at instanceof z.ZodOptional || at instanceof z.ZodDefault || at instanceof z.ZodPrefault)
      at = at.unwrap();
    if (!(at instanceof z.ZodObject)) return [];
    if (key === undefined) return Object.keys(at.shape);
    at = at.shape[key];
  }
  return [];
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce((at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key], input);
}

function kindOf(value: unknown): string {
  return value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
}

function show(value: unknown): string {
  if (typeof value === 'string')
    return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
  if (typeof value === 'number' || typeof value === 'boolean' || value == null)
    return String(value);
  return `a ${kindOf(value)}`;
}
