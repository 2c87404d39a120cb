/** How one command is called. */
export interface Usage {
  readonly synopsis: string;
  readonly summary: string;
  /** How many arguments it takes that are no options. @default none */
  readonly operands?: number;
  /** What `--help` of the command says besides; the options of all commands follow. */
  readonly options: readonly (readonly [string, string])[];
  readonly notes?: readonly string[];
}

export const COMMON: Usage['options'] = [
  ['--state-dir <folder>', 'where the registry is (default: the platform’s state folder)'],
  ['--json', 'print JSON'],
  ['-h, --help', 'say how the command is used'],
];

/** In the place of a command. */
export const VERSION: Usage['options'][number] = [
  '-v, --version',
  'print the version; with --json, also what is bundled',
];

const GRACE: Usage['options'][number] = [
  '--grace <duration>',
  'between SIGTERM and SIGKILL (default: 5s)',
];
const YES: Usage['options'][number] = ['-y, --yes', 'do not ask'];

export const USAGE = {
  ps: {
    synopsis: 'ps',
    summary: 'show every supervised process with its tree, of all hosts',
    options: [],
  },
  top: {
    synopsis: 'top',
    summary: 'watch them; c m a sort by CPU, memory, age, q quits',
    options: [
      ['--interval <duration>', 'between two looks (default: 1s)'],
      ['--sort <cpu|memory|age>', 'what comes first (default: cpu)'],
    ],
  },
  doctor: {
    synopsis: 'doctor',
    summary: 'check host, registry and environment; exit code 1 if a check fails',
    options: [],
  },
  events: {
    synopsis: 'events',
    summary: 'follow what is started and how it ends, of all hosts',
    options: [
      ['-n, --lines <count>', 'begin with so many of the past (default: 20)'],
      ['--no-follow', 'end after them'],
    ],
  },
  reap: {
    synopsis: 'reap <session>',
    summary: 'end every process of a session, with its tree',
    operands: 1,
    options: [GRACE, YES],
    notes: [
      'What waits in the queue of a live host is not reached: it is started as if nothing were.',
    ],
  },
  stop: {
    synopsis: 'stop <host | id>',
    summary: 'end one process with its tree, or all that a host has started',
    operands: 1,
    options: [GRACE, YES],
    notes: [
      'A host is named by its pid or by the beginning of its instance, a process by its pid or by the',
      'beginning of its id.',
      'The host itself is never signalled: it goes on, and may start others.',
    ],
  },
  recover: {
    synopsis: 'recover',
    summary: 'end and forget what dead hosts have left, as the next start would',
    options: [
      ['--dry-run', 'only say what would be done'],
      ['--forget <host>', 'forget a host that cannot be judged from here, and is gone'],
      GRACE,
      YES,
    ],
    notes: [
      'With --forget nothing is signalled: what such a host has left where it ran is out of reach. The',
      'host is named by the beginning of its instance; one that shows that it lives is refused.',
    ],
  },
  run: {
    synopsis: 'run [options] -- <command> [argument …]',
    summary: 'run a command with limits and containment; its exit code is passed on',
    options: [
      ['--session <id>', 'the session it works for'],
      ['--kind <label>', 'what it is (default: command)'],
      [
        '--concurrency <count>',
        'wait until fewer than this many of its kind are run by such a run',
      ],
      ['--wait <duration>', 'for so long at most (default: for ever), then end with 75'],
      ['--lifetime <duration>', 'end it after this'],
      ['--startup <duration>', 'end it if it has said nothing by then'],
      ['--idle <duration>', 'end it if it does nothing for this long'],
      ['--memory <size>', 'end it if its tree needs more, such as 2GiB'],
      ['--wall-clock <duration>', 'how long the session may last in all'],
      GRACE,
      ['--keep-leftovers', 'let live on what it leaves behind'],
      ['--detached', 'start it, let it live on for good, and end at once'],
    ],
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
    options: [],
  },
} as const satisfies Record<string, Usage>;

export type CommandName = keyof typeof USAGE;

export function isCommand(name: string): name is CommandName {
  return Object.hasOwn(USAGE, name);
}

/** What `--help` says, of one command or of all. */
export function help(name?: CommandName): string {
  if (name === undefined) {
    const commands = Object.values(USAGE).map(
      ({ synopsis, summary }) => [synopsis.replace(' [options]', ''), summary] as const,
    );
    return [
      'Shows and steers what agent-supervisor supervises, by the state directory alone.',
      '',
      'Usage: agent-supervisor <command> [options]',
      '',
      'Commands:',
      ...columns(commands),
      '',
      'Options of all commands:',
      ...columns([...COMMON, VERSION]),
      '',
      'Exit codes: 0 all is well, 1 a check failed or something could not be ended, 2 it could not be done.',
      '',
    ].join('\n');
  }
  const { synopsis, summary, options, notes = [] }: Usage = USAGE[name];
  return [
    `${summary[0]?.toUpperCase()}${summary.slice(1)}.`,
    '',
    `Usage: agent-supervisor ${synopsis}`,
    '',
    'Options:',
    ...columns([...options, ...COMMON]),
    ...(notes.length > 0 ? ['', ...notes] : []),
    '',
  ].join('\n');
}

function columns(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
}
