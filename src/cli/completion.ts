import type { Command } from './command.ts';
import { Refusal } from './refusal.ts';
import {
  COMMANDLESS,
  COMMON,
  flagsOf,
  type Option,
  type Options,
  USAGE,
  type Usage,
} from './usage.ts';

const SHELLS: Readonly<Record<Shell, () => string>> = { bash, zsh, fish };

type Shell = (typeof USAGE)['completion']['words'][number];

export const run: Command = async ({ positionals: [shell = ''] }, { stdout }) => {
  if (!isShell(shell))
    throw new Refusal(`completion: "${shell}" is no shell known here. Name bash, zsh or fish.`);
  stdout.write(SHELLS[shell]());
  return 0;
};

function isShell(name: string): name is Shell {
  return Object.hasOwn(SHELLS, name);
}

/** An option for the completion scripts. */
interface CompletedOption extends Option {
  /** `--name`, after its short form if it has one. */
  readonly flags: readonly string[];
}

interface CompletedCommand {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly CompletedOption[];
  /** The words that the command accepts as its argument. */
  readonly words: readonly string[];
}

function commands(): CompletedCommand[] {
  return Object.entries<Usage>(USAGE).map(([name, { summary, options, words = [] }]) => ({
    name,
    summary,
    options: completedOptions({ ...options, ...COMMON }),
    words,
  }));
}

function completedOptions(options: Options): CompletedOption[] {
  return Object.entries(options).map(([name, option]) => ({
    ...option,
    flags: flagsOf(name, option),
  }));
}

/** One shell's syntax for the value of an option. */
interface ValueSyntax {
  readonly folder: string;
  readonly anything: string;
  words(words: readonly string[]): string;
}

function completed({ value }: Option, syntax: ValueSyntax): string {
  if (value === undefined) return '';
  if (typeof value !== 'string') return syntax.words(value);
  return value === 'folder' ? syntax.folder : syntax.anything;
}

function bash(): string {
  const lines = (words: readonly string[]): string => `$'${words.join('\\n')}'`;
  const flags = (options: readonly CompletedOption[]) => options.flatMap((option) => option.flags);
  const values = new Map<string, string>();
  for (const option of commands().flatMap(({ options }) => options)) {
    const complete = completed(option, {
      folder: 'compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- "$word")); return',
      anything: 'return',
      words: (words) => `COMPREPLY=($(compgen -W ${lines(words)} -- "$word")); return`,
    });
    const names = option.flags.join('|');
    if (complete !== '') values.set(names, `    ${names}) ${complete} ;;`);
  }
  const cases = commands().map(
    ({ name, words, options }) => `    ${name}) words=${lines([...words, ...flags(options)])} ;;`,
  );
  const first = [...commands().map(({ name }) => name), ...flags(completedOptions(COMMANDLESS))];
  return `_agent_supervisor() {
  local word="\${COMP_WORDS[COMP_CWORD]}" words="" one IFS=$'\\n'
  COMPREPLY=()
  # What comes after it is not ours.
  for one in "\${COMP_WORDS[@]:0:COMP_CWORD}"; do
    if [ "$one" = -- ]; then compopt -o default 2>/dev/null; return; fi
  done
  case "\${COMP_WORDS[COMP_CWORD-1]}" in
${[...values.values()].join('\n')}
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then
    words=${lines(first)}
  else case "\${COMP_WORDS[1]}" in
${cases.join('\n')}
  esac; fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -F _agent_supervisor agent-supervisor
`;
}

function zsh(): string {
  const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
  const spec = (option: CompletedOption): string => {
    const { flags, summary } = option;
    const value = completed(option, {
      folder: ':folder:_files -/',
      anything: ':value: ',
      words: (words) => `:value:(${words.join(' ')})`,
    });
    const rest = quoted(`[${summary.replace(/[[\]]/g, '\\$&')}]${value}`);
    // The two names of an option exclude each other.
    return flags.length === 1
      ? `${flags[0]}${rest}`
      : `'(${flags.join(' ')})'{${flags.join(',')}}${rest}`;
  };
  const described = commands().map(
    ({ name, summary }) => `    ${quoted(`${name}:${summary.replaceAll(':', '\\:')}`)}`,
  );
  const cases = commands().map(({ name, words, options }) => {
    const operand = words.length > 0 ? [quoted(`1:shell:(${words.join(' ')})`)] : [];
    return `    ${name}) _arguments ${[...operand, ...options.map(spec)].join(' \\\n      ')} ;;`;
  });
  const first = completedOptions(COMMANDLESS).flatMap(({ flags }) => flags);
  return `#compdef agent-supervisor
_agent_supervisor() {
  local -a known=(
${described.join('\n')}
  )
  local at=\${words[(i)--]}
  # What comes after it is another command.
  if (( at < CURRENT )); then
    shift $at words
    (( CURRENT -= at ))
    _normal -p agent-supervisor
    return
  fi
  if (( CURRENT == 2 )); then
    if [[ $words[2] == -* ]]; then compadd -- ${first.join(' ')}; else _describe command known; fi
    return
  fi
  shift words
  (( CURRENT -= 1 ))
  case $words[1] in
${cases.join('\n')}
  esac
}
# As a file of fpath it is called for the first completion already; sourced, it only says who completes.
if [[ $funcstack[1] == _agent-supervisor ]]; then _agent_supervisor "$@"
else compdef _agent_supervisor agent-supervisor; fi
`;
}

function fish(): string {
  const quoted = (text: string) => `'${text.replace(/['\\]/g, '\\$&')}'`;
  const line = (command: string, rest: string, meaning: string): string =>
    `complete -c agent-supervisor -n ${quoted(`__agent_supervisor_is '${command}'`)} ${rest} -d ${quoted(meaning)}`;
  const option = (command: string, known: CompletedOption): string => {
    const names = known.flags.map((flag) => flag.replace(/^--/, '-l ').replace(/^-(?=\w$)/, '-s '));
    const value = completed(known, {
      folder: " -x -a '(__fish_complete_directories)'",
      anything: ' -x',
      words: (words) => ` -x -a ${quoted(words.join(' '))}`,
    });
    return line(command, names.join(' ') + value, known.summary);
  };
  const lines = [
    ...commands().map(({ name, summary }) => line('', `-a ${name}`, summary)),
    ...completedOptions(COMMANDLESS).map((known) => option('', known)),
    ...commands().flatMap(({ name, words, options }) => [
      ...words.map((word) => line(name, `-a ${word}`, `the completion of ${word}`)),
      ...options.map((known) => option(name, known)),
    ]),
  ];
  return `function __agent_supervisor_is
  set -l words (commandline -opc)
  test "$words[2]" = "$argv[1]"; and not contains -- -- $words
end
# What comes after -- is another command.
function __agent_supervisor_other
  set -l words (commandline -opc)
  set -l at (contains -i -- -- $words); and set words $words[(math $at + 1)..]
  and complete -C (string join ' ' -- (string escape -- $words) (commandline -ct))
end
complete -c agent-supervisor -f -a '(__agent_supervisor_other)'
${lines.join('\n')}
`;
}
