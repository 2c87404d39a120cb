import * as z from 'zod/mini';
import { made, parseInput } from '../check.ts';
import {
  AGENT_MARKS,
  CLAUDE_MARKS,
  DROPPED_WHEN_NESTED,
  HOST_ONLY,
} from '../claude-code/session-marks.ts';
import type { Os } from '../os/os.ts';
import { withoutInspector } from './node-options.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** A variable's name, the beginning of one (`'NAME_*'`), or a regular expression to test names with. */
export type NamePattern = string | RegExp;

/** The caller's own rules, which come before the built-in lists. */
export interface EnvironmentRules {
  /** Inherited variables to drop in addition to the built-in lists. */
  readonly deny?: readonly NamePattern[] | undefined;
  /** Variables to keep, even if another rule drops them. */
  readonly keep?: readonly NamePattern[] | undefined;
  /**
   * Allow-list mode: drops every inherited variable that is not named here.
   *
   * A program needs some variables to run at all: `[...ESSENTIAL_NAMES, 'ANTHROPIC_*']`.
   */
  readonly allow?: readonly NamePattern[] | undefined;
}

export interface SanitizeOptions extends EnvironmentRules {
  /** The host's own environment; by default `env` itself, so that everything counts as inherited. */
  readonly hostEnv?: Environment;
  /** Compares names without regard to case, as Windows does. Default: `false`. */
  readonly ignoreCase?: boolean;
}

export interface SanitizedEnv {
  readonly env: Record<string, string>;
  /**
   * The names of the dropped variables, sorted; never their values.
   *
   * An option that was dropped from `NODE_OPTIONS` follows its name: `NODE_OPTIONS --inspect`.
   */
  readonly dropped: string[];
}

/** Variables set by an outer agent, a debugger or an editor: never right for a new agent. */
export const ALWAYS_DROPPED: readonly string[] = Object.freeze([...AGENT_MARKS, ...HOST_ONLY]);

/** Variables that programs need to run at all, for {@link EnvironmentRules.allow}; no login, key or proxy. */
export const ESSENTIAL_NAMES: readonly string[] = Object.freeze([
  ...['PATH', 'HOME', 'USER', 'LOGNAME', 'SHELL', 'TERM', 'TMPDIR', 'LANG', 'LC_*', 'TZ', 'XDG_*'],
  ...['SystemRoot', 'SystemDrive', 'windir', 'ComSpec', 'PATHEXT', 'TEMP', 'TMP', 'USERNAME'],
  ...['USERPROFILE', 'HOMEDRIVE', 'HOMEPATH', 'APPDATA', 'LOCALAPPDATA', 'ProgramData'],
  ...['ProgramFiles*', 'NUMBER_OF_PROCESSORS', 'PROCESSOR_ARCHITECTURE'],
]);

const NODE_OPTIONS = 'NODE_OPTIONS';

const patterns = z.lazy(() =>
  z.optional(
    z.readonly(
      z.array(
        z.union([z.string(), z.instanceof(RegExp)], {
          error: 'must be a name or a regular expression',
        }),
      ),
    ),
  ),
);

/** An objection to a variable; `path` leads to the variable, unless its name is the fault. */
interface Objection {
  readonly message: string;
  readonly path: string[];
}

/** The schema of an environment. Not `z.record`, which does not accept `process.env` as a record. */
const variables = z.lazy(() => variablesWhere(() => undefined));

/** @internal The schema of an environment: copies it, and refuses it if `object` objects to a variable. */
export function variablesWhere(object: (name: string, value: string) => Objection | undefined) {
  return z.transform((env: Environment, { issues }) => {
    const refuse = (objection: Objection) =>
      issues.push({ code: 'custom', input: env, ...objection });
    if (typeof env !== 'object' || env === null || Symbol.iterator in env) {
      refuse({ message: 'must be an object of strings', path: [] });
      return z.NEVER;
    }
    const copy = { ...env };
    for (const name of Object.keys(copy)) {
      const value: unknown = copy[name];
      if (value === undefined) continue;
      const objection =
        typeof value === 'string'
          ? object(name, value)
          : { message: 'must be string', path: [name] };
      if (objection !== undefined) refuse(objection);
    }
    return copy;
  });
}

/** @internal The schema of {@link EnvironmentRules}. */
export const environmentRules = z.lazy(() =>
  z.strictObject({ deny: patterns, keep: patterns, allow: patterns }),
);

const sanitizeOptions = z.lazy(() =>
  z.extend(made(environmentRules), {
    hostEnv: z.optional(variables),
    ignoreCase: z.optional(z.boolean()),
  }),
);

/**
 * Removes the variables that the host inherited from an outer agent, a debugger or an editor.
 *
 * Variables that were set on purpose stay. A variable counts as inherited if the host's environment has it
 * with the same value. The first rule that applies decides: `keep` keeps; variables that are not inherited
 * stay; `deny` drops; `allow`, if given, drops all it does not name; {@link ALWAYS_DROPPED} drops, and so
 * does {@link DROPPED_WHEN_NESTED} in a host that runs inside Claude Code. `NODE_OPTIONS` loses the
 * inspector's options and VS Code's bootloader, and keeps the rest. An `undefined` value vanishes unreported.
 *
 * @throws SupervisorError `INVALID_OPTIONS` for an unknown option, a rule or a value of a wrong type
 */
export function sanitizeEnv(env: Environment, options: SanitizeOptions = {}): SanitizedEnv {
  parseInput(sanitizeOptions, options, 'sanitizeEnv');
  parseInput(z.object({ env: variables }), { env }, 'sanitizeEnv');
  return sanitize(env, options);
}

/** {@link sanitizeEnv} for input that has been checked. */
export function sanitize(env: Environment, options: SanitizeOptions): SanitizedEnv {
  const { hostEnv = env, ignoreCase = false } = options;
  const keep = matcher(options.keep ?? [], ignoreCase);
  const deny = matcher(options.deny ?? [], ignoreCase);
  const allow = options.allow ? matcher(options.allow, ignoreCase) : () => true;
  const { always, whenNested, isClaudes } = builtIn(ignoreCase);
  // Both are lazy: few environments hold a listed variable, and reading all of `process.env` is slow.
  const nested = once(() => holds(hostEnv, isClaudes));
  const hostValues = once(() => valuesOf(hostEnv, ignoreCase));
  const isInherited = (name: string, value: string) =>
    hostValues().get(fold(name, ignoreCase)) === value;
  const isListed = (name: string) =>
    deny(name) || !allow(name) || always(name) || (whenNested(name) && nested());
  const stays = (name: string, value: string) =>
    keep(name) || !isListed(name) || !isInherited(name, value);

  // Copied as a whole: an assignment for each variable would lose one named `__proto__`.
  const kept = { ...env };
  const dropped: string[] = [];
  const drop = (name: string) => {
    if (kept[name] !== undefined) dropped.push(name);
    delete kept[name];
  };
  for (const name of Object.keys(kept)) {
    const value = kept[name];
    if (value === undefined || !stays(name, value)) drop(name);
    else if (fold(name, ignoreCase) === NODE_OPTIONS && !keep(name) && isInherited(name, value)) {
      const options = withoutInspector(value);
      dropped.push(...options.dropped.map((option) => `${name} ${option}`));
      if (options.dropped.length > 0 && options.rest === '') drop(name);
      else kept[name] = options.rest;
    }
  }
  return { env: kept as Record<string, string>, dropped: dropped.sort() };
}

/** Tells whether a host with this environment was itself started by an agent. */
export function isNested(hostEnv: Environment, ignoreCase = false): boolean {
  return holds(hostEnv, builtIn(ignoreCase).isMark);
}

/** Tells whether a variable marks the processes of an agent's session. */
export function isMark(name: string, ignoreCase = false): boolean {
  return builtIn(ignoreCase).isMark(name);
}

function holds(env: Environment, matches: (name: string) => boolean): boolean {
  return Object.entries(env).some(([name, value]) => value !== undefined && matches(name));
}

/**
 * Returns the variables that a command must keep in addition to the caller's own.
 *
 * Only `ELECTRON_RUN_AS_NODE` makes the host's own Electron run as Node; without it the application would
 * start a second time.
 */
export function neededBy(
  command: string,
  { electronPath }: Pick<Os, 'electronPath'>,
): readonly NamePattern[] {
  return command === electronPath ? ['ELECTRON_RUN_AS_NODE'] : [];
}

interface BuiltIn {
  readonly always: (name: string) => boolean;
  readonly whenNested: (name: string) => boolean;
  readonly isMark: (name: string) => boolean;
  readonly isClaudes: (name: string) => boolean;
}

const builtInRules = new Map<boolean, BuiltIn>();

/** Returns the built-in lists as matchers, which are built once. */
function builtIn(ignoreCase: boolean): BuiltIn {
  let rules = builtInRules.get(ignoreCase);
  if (rules === undefined) {
    rules = {
      always: matcher(ALWAYS_DROPPED, ignoreCase),
      whenNested: matcher(DROPPED_WHEN_NESTED, ignoreCase),
      isMark: matcher(AGENT_MARKS, ignoreCase),
      isClaudes: matcher(CLAUDE_MARKS, ignoreCase),
    };
    builtInRules.set(ignoreCase, rules);
  }
  return rules;
}

function valuesOf(env: Environment, ignoreCase: boolean): Map<string, string | undefined> {
  return new Map(Object.entries(env).map(([name, value]) => [fold(name, ignoreCase), value]));
}

function fold(name: string, ignoreCase: boolean): string {
  return ignoreCase ? name.toUpperCase() : name;
}

function once<T>(find: () => T): () => T {
  let found: { readonly value: T } | undefined;
  return () => {
    found ??= { value: find() };
    return found.value;
  };
}

function matcher(patterns: readonly NamePattern[], ignoreCase: boolean): (name: string) => boolean {
  if (patterns.length === 0) return () => false;
  const names = new Set<string>();
  const beginnings: string[] = [];
  const expressions: RegExp[] = [];
  for (const pattern of patterns) {
    if (typeof pattern !== 'string') expressions.push(ownCopy(pattern, ignoreCase));
    else if (pattern.endsWith('*')) beginnings.push(fold(pattern.slice(0, -1), ignoreCase));
    else names.add(fold(pattern, ignoreCase));
  }
  return (name) => {
    const folded = fold(name, ignoreCase);
    return (
      names.has(folded) ||
      beginnings.some((beginning) => folded.startsWith(beginning)) ||
      expressions.some((expression) => matches(expression, name))
    );
  };
}

/** Copies a caller's expression: with the flags g and y, `test()` moves its `lastIndex`. */
function ownCopy({ source, flags }: RegExp, ignoreCase: boolean): RegExp {
  return new RegExp(source, ignoreCase && !flags.includes('i') ? `${flags}i` : flags);
}

function matches(expression: RegExp, name: string): boolean {
  expression.lastIndex = 0;
  return expression.test(name);
}
