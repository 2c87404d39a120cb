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

function bash(): string {
  const cases = Object.entries(USAGE).map(
    ([name, { options }]) =>
      `    ${name}) words="${flagsOf([...options, ...COMMON]).join(' ')}" ;;`,
  );
  return `_agent_supervisor() {
  local word="\${COMP_WORDS[COMP_CWORD]}" words=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    words="${Object.keys(USAGE).join(' ')} --help --version"
  else case "\${COMP_WORDS[1]}" in
${cases.join('\n')}
  esac; fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
  case "\${COMP_WORDS[COMP_CWORD-1]}" in --state-dir) COMPREPLY=($(compgen -d -- "$word")) ;; esac
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
      const value = left.includes('<') ? ' -r' : '';
      return `complete -c agent-supervisor -n '__fish_seen_subcommand_from ${name}' -f -l ${long}${value} -d '${quoted(right)}'`;
    }),
  ]);
  return `${lines.join('\n')}\n`;
}

function quoted(text: string): string {
  return text.replaceAll("'", '’').replaceAll(':', ',');
}
