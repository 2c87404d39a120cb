import type { Command } from './execute.ts';
import { Refusal } from './refusal.ts';
import { COMMON, USAGE, type Usage } from './usage.ts';

const SHELLS: Readonly<Record<string, () => string>> = { bash, zsh, fish };

export const run: Command = async ({ positionals: [shell = ''] }, { stdout }) => {
  const script = Object.hasOwn(SHELLS, shell) ? SHELLS[shell] : undefined;
  if (script === undefined)
    throw new Refusal(`completion: "${shell}" is no shell known here. Name bash, zsh or fish.`);
  stdout.write(script());
  return 0;
};

/** `--name` of every option, with its short name. */
function flagsOf(options: Usage['options']): string[] {
  return options.flatMap(([left]) => left.match(/--?[a-z][\w-]*/g) ?? []);
}

/** What may follow an option: known words, a folder, or what nobody can guess. */
function valuesOf(options: Usage['options']): [flags: string, values: string[] | 'folder'][] {
  return options.flatMap(([left, _]) => {
    const value = /<(.+)>/.exec(left)?.[1];
    if (value === undefined) return [];
    const flags = flagsOf([[left.replace(/<.*/, ''), '']]).join('|');
    return [[flags, value === 'folder' ? value : value.includes('|') ? value.split('|') : []]];
  });
}

function bash(): string {
  const lines = (words: readonly string[]): string => `$'${words.join('\\n')}'`;
  const commands = Object.entries(USAGE) as [string, Usage][];
  const all = commands.flatMap(([, { options }]) => valuesOf([...options, ...COMMON]));
  const values = [...new Map(all)].map(([flags, known]) =>
    known === 'folder'
      ? `    ${flags}) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- "$word")); return ;;`
      : `    ${flags}) COMPREPLY=($(compgen -W ${lines(known)} -- "$word")); return ;;`,
  );
  const cases = commands.map(([name, { options }]) => {
    const shells = name === 'completion' ? Object.keys(SHELLS) : [];
    return `    ${name}) words=${lines([...shells, ...flagsOf([...options, ...COMMON])])} ;;`;
  });
  return `_agent_supervisor() {
  local word="\${COMP_WORDS[COMP_CWORD]}" words="" one IFS=$'\\n'
  COMPREPLY=()
  # What comes after it is not ours.
  for one in "\${COMP_WORDS[@]:0:COMP_CWORD}"; do
    if [ "$one" = -- ]; then compopt -o default 2>/dev/null; return; fi
  done
  case "\${COMP_WORDS[COMP_CWORD-1]}" in
${values.join('\n')}
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then
    words=${lines([...Object.keys(USAGE), '--help', '--version'])}
  else case "\${COMP_WORDS[1]}" in
${cases.join('\n')}
  esac; fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -F _agent_supervisor agent-supervisor
`;
}

function zsh(): string {
  const commands = Object.entries(USAGE).map(
    ([name, { summary }]) => `    '${name}:${quoted(summary)}'`,
  );
  const cases = Object.entries(USAGE).map(
    ([name, { options }]) =>
      `    ${name}) compadd -- ${flagsOf([...options, ...COMMON]).join(' ')} ;;`,
  );
  return `#compdef agent-supervisor
_agent_supervisor() {
  local -a commands=(
${commands.join('\n')}
  )
  if (( CURRENT == 2 )); then _describe command commands; return; fi
  case "\${words[CURRENT-1]}" in --state-dir) _files -/; return ;; esac
  case "\${words[2]}" in
${cases.join('\n')}
  esac
}
compdef _agent_supervisor agent-supervisor
`;
}

function fish(): string {
  const lines = Object.entries(USAGE).flatMap(([name, { summary, options }]) => [
    `complete -c agent-supervisor -n __fish_use_subcommand -f -a ${name} -d '${quoted(summary)}'`,
    ...[...options, ...COMMON].map(([left, right]) => {
      const long = /--([\w-]+)/.exec(left)?.[1];
      const short = /^-(\w),/.exec(left)?.[1];
      const value = left.includes('<') ? ' -r' : '';
      return `complete -c agent-supervisor -n '__fish_seen_subcommand_from ${name}' -f -l ${long}${short ? ` -s ${short}` : ''}${value} -d '${quoted(right)}'`;
    }),
  ]);
  return `${lines.join('\n')}\n`;
}

function quoted(text: string): string {
  return text.replaceAll("'", '’').replaceAll(':', ',');
}
