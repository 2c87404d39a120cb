import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';
import { Refusal } from './refusal.ts';
import { COMMON, type CommandName, USAGE, type Usage } from './usage.ts';

/** What a command was called with, as text. */
export interface Arguments {
  readonly command: CommandName;
  readonly positionals: readonly string[];
  /** Everything after `--`. */
  readonly rest: readonly string[];
  readonly stateDir: string | undefined;
  readonly json: boolean;
  readonly help: boolean;
  flag(name: string): boolean;
  text(name: string): string | undefined;
}

/** Reads a command's arguments by what its usage says. */
export function parseArguments(command: CommandName, args: readonly string[]): Arguments {
  const end = args.indexOf('--');
  const own = end === -1 ? args : args.slice(0, end);
  const { options, notes: _ }: Usage = USAGE[command];
  const config = Object.fromEntries([...options, ...COMMON].map(([left]) => optionOf(left)));
  const { values, positionals } = read(command, own, config);
  return {
    command,
    positionals,
    rest: end === -1 ? [] : args.slice(end + 1),
    stateDir: values['state-dir'] as string | undefined,
    json: values['json'] === true,
    help: values['help'] === true,
    flag: (name) => values[name] === true,
    text: (name) => values[name] as string | undefined,
  };
}

/** `-n, --lines <count>` is an option with a value and a short name. */
function optionOf(left: string): [string, ParseArgsOptionsConfig[string]] {
  const short = /^-(\w),/.exec(left)?.[1];
  const name = /--([\w-]+)/.exec(left)?.[1] ?? '';
  const type = left.includes('<') ? 'string' : 'boolean';
  return [name, short === undefined ? { type } : { type, short }];
}

function read(command: CommandName, args: readonly string[], options: ParseArgsOptionsConfig) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    const [sentence] = (error as Error).message.split(/\. |$/, 1);
    throw new Refusal(`${sentence}. "agent-supervisor ${command} --help" lists what it takes.`);
  }
}

const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Reads `500ms`, `90s`, `5m`, `2h` or `1d`; `undefined` stays. */
export function durationOf(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const [, number, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text) ?? [];
  if (number === undefined || unit === undefined)
    throw new Refusal(
      `--${name} is "${text}", but must be a duration such as 500ms, 90s, 5m or 2h.`,
    );
  return Number(number) * UNITS[unit as keyof typeof UNITS];
}

const SIZES = {
  B: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
} as const;

/** Reads `512MiB` or `2GiB`; `undefined` stays. */
export function bytesOf(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const [, number, unit] = /^(\d+(?:\.\d+)?)([KMG]iB|[kMG]?B)$/.exec(text) ?? [];
  if (number === undefined || unit === undefined)
    throw new Refusal(`--${name} is "${text}", but must be a size such as 512MiB or 2GiB.`);
  return Number(number) * SIZES[unit as keyof typeof SIZES];
}

/** Reads a whole number of at least `least`; `undefined` stays. */
export function countOf(name: string, text: string | undefined, least: number): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,9}$/.test(text) || Number(text) < least)
    throw new Refusal(`--${name} is "${text}", but must be a whole number of at least ${least}.`);
  return Number(text);
}
