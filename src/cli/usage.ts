/** A command-line option, the source for parsing, help and completion. */
export interface Option {
  /** The short name, of one letter. */
  readonly short?: string;
  /** The value's name in the help, or the words that it may be. A flag has none. */
  readonly value?: string | readonly string[];
  readonly summary: string;
}

/** Options by name, in the order of the help. */
export type Options = Readonly<Record<string, Option>>;

/** The usage of one command. */
export interface Usage {
  readonly synopsis: string;
  readonly summary: string;
  /** Most arguments besides options. @default none */
  readonly operands?: number;
  /** The words that the argument may be, where they are known. */
  readonly words?: readonly string[];
  /** The command's own options, to which those of all commands are added. */
  readonly options: Options;
  /** Further lines of the help. */
  readonly notes?: readonly string[];
}

/** The options of all commands. */
export const COMMON = {
  'state-dir': {
    value: 'folder',
    summary: 'where the registry is (default: the platform’s state folder)',
  },
  json: { summary: 'print JSON' },
  help: { short: 'h', summary: 'say how the command is used' },
} as const satisfies Options;

/** Options that stand in place of a command. */
export const COMMANDLESS = {
  version: { short: 'v', summary: 'print the version; with --json, also what is bundled' },
  help: COMMON.help,
} as const satisfies Options;

const GRACE = {
  grace: { value: 'duration', summary: 'between SIGTERM and SIGKILL (default: 5s)' },
} as const;
const YES = { yes: { short: 'y', summary: 'do not ask' } } as const;

export const USAGE = {
  ps: {
    synopsis: 'ps',
    summary: 'show every supervised process with its tree, of all hosts',
    options: {},
  },
  top: {
    synopsis: 'top',
    summary: 'watch them; c m a sort by CPU, memory, age, q quits',
    options: {
      interval: { value: 'duration', summary: 'between two looks (default: 1s)' },
      sort: { value: ['cpu', 'memory', 'age'], summary: 'what comes first (default: cpu)' },
    },
  },
  doctor: {
    synopsis: 'doctor',
    summary: 'check host, registry and environment; exit code 1 if a check fails',
    options: {},
  },
  events: {
    synopsis: 'events',
    summary: 'follow what is started and how it ends, of all hosts',
    options: {
      lines: {
        short: 'n',
        value: 'count',
        summary: 'begin with so many of the past (default: 20)',
      },
      'no-follow': { summary: 'end after them' },
    },
  },
  reap: {
    synopsis: 'reap <session>',
    summary: 'end every process of a session, with its tree',
    operands: 1,
    options: { ...GRACE, ...YES },
    notes: [
      'What waits in the queue of a live host is not reached: it is started as if nothing were.',
    ],
  },
  stop: {
    synopsis: 'stop <host | id>',
    summary: 'end one process with its tree, or all that a host has started',
    operands: 1,
    options: { ...GRACE, ...YES },
    notes: [
      'A host is named by its pid or by the beginning of its instance, a process by its pid or by the',
      'beginning of its id.',
      'The host itself is never signalled: it goes on, and may start others.',
    ],
  },
  recover: {
    synopsis: 'recover',
    summary: 'end and forget what dead hosts have left, as the next start would',
    options: {
      'dry-run': { summary: 'only say what would be done' },
      forget: {
        value: 'host',
        summary: 'forget a host that cannot be judged from here, and is gone',
      },
      ...GRACE,
      ...YES,
    },
    notes: [
      'With --forget nothing is signalled: what such a host has left where it ran is out of reach. The',
      'host is named by the beginning of its instance; one that shows that it lives is refused.',
    ],
  },
  run: {
    synopsis: 'run [options] -- <command> [argument …]',
    summary: 'run a command with limits and containment; its exit code is passed on',
    options: {
      session: { value: 'id', summary: 'the session it works for' },
      kind: { value: 'label', summary: 'what it is (default: command)' },
      concurrency: {
        value: 'count',
        summary: 'wait for one of so many slots of the machine, or of its --kind',
      },
      wait: {
        value: 'duration',
        summary: 'for so long at most (default: for ever), then end with 75',
      },
      lifetime: { value: 'duration', summary: 'end it after this' },
      startup: { value: 'duration', summary: 'end it if it has said nothing by then' },
      idle: { value: 'duration', summary: 'end it if it does nothing for this long' },
      memory: { value: 'size', summary: 'end it if its tree needs more, such as 2GiB' },
      'wall-clock': { value: 'duration', summary: 'how long the session may last in all' },
      ...GRACE,
      'keep-leftovers': { summary: 'let live on what it leaves behind' },
      detached: { summary: 'start it, let it live on for good, and end at once' },
    },
    notes: [
      'Durations are such as 500ms, 90s, 5m or 2h; sizes such as 512MiB or 2GB.',
      'Exit codes besides those of the command: 124 a limit has ended it, 125 run itself refused,',
      '126 it is not executable, 127 it was not found, 128 + n it was ended by signal n.',
      'With --json, how it ended is the last line on stderr.',
    ],
  },
  completion: {
    synopsis: 'completion <bash | zsh | fish>',
    summary: 'print the completion of a shell',
    operands: 1,
    words: ['bash', 'zsh', 'fish'],
    options: {},
  },
} as const satisfies Record<string, Usage>;

export type CommandName = keyof typeof USAGE;

export function isCommand(name: string): name is CommandName {
  return Object.hasOwn(USAGE, name);
}

/** The name of an option of any command. */
export type OptionName =
  | keyof typeof COMMON
  | { [C in CommandName]: keyof (typeof USAGE)[C]['options'] }[CommandName];

/** Lists the spellings of an option: `-n` and `--lines`. */
export function flagsOf(name: string, { short }: Option): string[] {
  return short === undefined ? [`--${name}`] : [`-${short}`, `--${name}`];
}
