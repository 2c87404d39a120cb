import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';
import { Refusal } from './refusal.ts';
import {
  COMMON,
  type CommandName,
  type Option,
  type OptionName,
  type Options,
  USAGE,
  type Usage,
} from './usage.ts';

/** The arguments of a command, as text. */
export interface Arguments {
  readonly command: CommandName;
  /** Arguments that are no options. After `--`, none is an option. */
  readonly positionals: readonly string[];
  /** Arguments after the `--` of `run`: a command and its own arguments. */
  readonly rest: readonly string[];
  readonly stateDir: string | undefined;
  readonly json: boolean;
  readonly help: boolean;
  flag(name: OptionName): boolean;
  text(name: OptionName): string | undefined;
}

/**
 * Parses the arguments of a command by the options of its usage.
 *
 * @throws Refusal for an unknown option, and for too many arguments
 */
export function parseArguments(command: CommandName, args: readonly string[]): Arguments {
  const end = args.indexOf('--');
  const own = end === -1 ? args : args.slice(0, end);
  const after = end === -1 ? [] : args.slice(end + 1);
  const { options, operands = 0 }: Usage = USAGE[command];
  const { values, positionals: before } = read(command, own, { ...options, ...COMMON });
  const isRun = command === 'run';
  const positionals = isRun ? before : [...before, ...after];
  const isHelp = values['help'] === true;
  if (positionals.length > operands && !isRun && !isHelp)
    throw new Refusal(
      `${command} takes no "${positionals[operands]}". "agent-supervisor ${command} --help" says what it takes.`,
    );
  return {
    command,
    positionals,
    rest: isRun ? after : [],
    stateDir: values['state-dir'] as string | undefined,
    json: values['json'] === true,
    help: isHelp,
    flag: (name) => values[name] === true,
    text: (name) => values[name] as string | undefined,
  };
}

function read(command: CommandName, args: readonly string[], known: Options) {
  const entries = Object.entries(known).map(([name, option]) => [name, descriptorOf(option)]);
  const options: ParseArgsOptionsConfig = Object.fromEntries(entries);
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    // Node's further sentences are advice in several lines, so only the first is shown.
    const [sentence = ''] = (error as Error).message.split(/\.?\s*\n|\. /, 1);
    throw new Refusal(
      `${sentence.replace(/\.$/, '')}. "agent-supervisor ${command} --help" says what it takes.`,
    );
  }
}

function descriptorOf({ short, value }: Option): ParseArgsOptionsConfig[string] {
  const type = value === undefined ? 'boolean' : 'string';
  return short === undefined ? { type } : { type, short };
}

const UNITS_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Parses `500ms`, `90s`, `5m`, `2h` or `1d`, of at least `leastMs`; `undefined` stays. */
export function durationOf(
  name: string,
  text: string | undefined,
  leastMs = 0,
): number | undefined {
  if (text === undefined) return undefined;
  const ms = measure(text, UNITS_MS);
  if (ms === undefined)
    throw new Refusal(
      `--${name} is "${text}", but must be a duration such as 500ms, 90s, 5m or 2h.`,
    );
  if (ms < leastMs) throw new Refusal(`--${name} is "${text}", but must be at least ${leastMs}ms.`);
  return ms;
}

const UNITS_BYTES = {
  B: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
};

/** Parses `512MiB` or `2GiB`, of at least one byte; `undefined` stays. */
export function bytesOf(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const bytes = measure(text, UNITS_BYTES);
  if (bytes === undefined || bytes < 1)
    throw new Refusal(`--${name} is "${text}", but must be a size such as 512MiB or 2GiB.`);
  return bytes;
}

/**
 * Parses a number with its unit; `undefined` for any other text, and for more than the largest safe
 * integer.
 */
function measure(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)([a-z]+)$/i.exec(text) ?? [];
  const factor = Object.hasOwn(units, unit) ? units[unit] : undefined;
  if (number === undefined || factor === undefined) return undefined;
  const product = Number(number) * factor;
  return product <= Number.MAX_SAFE_INTEGER ? product : undefined;
}

/** Parses a whole number of at least `least`; `undefined` stays. */
export function countOf(name: string, text: string | undefined, least: number): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,9}$/.test(text) || Number(text) < least)
    throw new Refusal(`--${name} is "${text}", but must be a whole number of at least ${least}.`);
  return Number(text);
}
