import { SupervisorError } from '../errors.ts';
import { builtin } from '../os/builtin.ts';
import type { ResolvedOptions } from './options.ts';

/** Decided once: by them the registry was opened, and what runs is guarded and marked. */
const FIXED = ['stateDir', 'guardian', 'rlimitTag'] as const;

/** An option that is to have another value. */
export interface OptionChange {
  /** Its full name: `pool.concurrency`. */
  readonly name: string;
  readonly from: unknown;
  readonly to: unknown;
}

/**
 * Finds what differs between the options in force and new ones.
 *
 * @throws SupervisorError `INVALID_OPTIONS` for one that cannot change while the supervisor is in use
 */
export function changesBetween(old: ResolvedOptions, next: ResolvedOptions): OptionChange[] {
  const fixed = FIXED.find((name) => old[name] !== next[name]);
  if (fixed !== undefined)
    throw new SupervisorError(
      'INVALID_OPTIONS',
      `getSupervisor: the options differ from those in force: "${fixed}" is ${show(old[fixed])} and cannot become ${show(next[fixed])} while the supervisor is in use. Pass them where the host first calls getSupervisor, or use createSupervisor() for an isolated one.`,
      { data: { field: fixed } },
    );
  return leavesOf(old, next, '');
}

/** One line for all of them. */
export function describeChanges(changes: readonly OptionChange[]): string {
  return changes.map(({ name, from, to }) => `${name} ${show(from)} → ${show(to)}`).join(', ');
}

function leavesOf(old: unknown, next: unknown, name: string): OptionChange[] {
  if (builtin('node:util').isDeepStrictEqual(old, next)) return [];
  if (!isGroup(old) || !isGroup(next)) return [{ name, from: old, to: next }];
  const names = new Set([...Object.keys(old), ...Object.keys(next)]);
  return [...names].flatMap((key) =>
    leavesOf(old[key], next[key], name === '' ? key : `${name}.${key}`),
  );
}

function isGroup(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function show(value: unknown): string {
  if (typeof value === 'function') return 'a function';
  if (Array.isArray(value)) return `[${value.map(String).join(', ')}]`;
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}
