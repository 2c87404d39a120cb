import type { Terminal } from '../os/terminal.ts';
import { parseArguments } from './arguments.ts';
import type { Command } from './command.ts';
import { help } from './help.ts';
import { plain } from './plain.ts';
import { Refusal } from './refusal.ts';
import { type CommandName, isCommand, USAGE } from './usage.ts';

// Each command is loaded when it is called: `--version` and `--help` need none of them.
const COMMANDS: Readonly<Record<CommandName, () => Promise<{ readonly run: Command }>>> = {
  ps: () => import('./ps.ts'),
  top: () => import('./top.ts'),
  doctor: () => import('./doctor.ts'),
  events: () => import('./events.ts'),
  reap: () => import('./reap.ts'),
  stop: () => import('./stop.ts'),
  recover: () => import('./recover.ts'),
  run: () => import('./run.ts'),
  completion: () => import('./completion.ts'),
};

/** Runs the command that the terminal's arguments name. */
export async function execute(terminal: Terminal): Promise<void> {
  const { args, stdout, stderr } = terminal;
  const [name = '--help', ...rest] = args;
  try {
    if (name === '--version' || name === '-v') {
      const { bundledPackages, packageVersion } = await import('../os/built.ts');
      const version = packageVersion();
      const facts = { name: 'agent-supervisor', version, bundled: bundledPackages() };
      stdout.write(
        rest.includes('--json') ? `${JSON.stringify(facts, null, 2)}\n` : `${version}\n`,
      );
    } else if (name === '--help' || name === '-h' || name === 'help') {
      const [about] = rest;
      if (about !== undefined && !isCommand(about)) throw noCommand(about);
      stdout.write(help(about));
      if (args.length === 0) terminal.setExitCode(2);
    } else if (isCommand(name)) {
      const parsed = parseArguments(name, rest);
      if (parsed.help) stdout.write(help(name));
      else terminal.setExitCode(await (await COMMANDS[name]()).run(parsed, terminal));
    } else if (name.startsWith('-')) {
      throw new Refusal(
        `"${name}" must come after a command. "agent-supervisor --help" lists them.`,
      );
    } else {
      throw noCommand(name);
    }
  } catch (error) {
    // An error that is no refusal and has no code is a bug of this package: print its stack.
    stderr.write(`agent-supervisor: ${lineOf(error)}\n`);
    // 125 as for timeout(1) and env(1), since lower codes may be those of the command that is run.
    const failed = name === 'run' ? 125 : 2;
    terminal.setExitCode((error instanceof Refusal ? error.exitCode : undefined) ?? failed);
  }
}

function lineOf(error: unknown): string {
  const {
    code,
    message = '',
    stack,
  } = error as { code?: unknown; message?: string; stack?: string };
  if (error instanceof Refusal || typeof code === 'string') return plain(message);
  return stack ?? plain(String(error));
}

function noCommand(name: string): Refusal {
  const advice = '"agent-supervisor --help" lists them.';
  return new Refusal(`There is no command "${name}".${didYouMean(name)} ${advice}`);
}

/** Suggests a command that begins alike, or has nearly the same letters. */
function didYouMean(name: string): string {
  if (name === '') return '';
  const near = Object.keys(USAGE).find(
    (command) =>
      command.startsWith(name) || distance(name, command) <= Math.floor(command.length / 3),
  );
  return near === undefined ? '' : ` Did you mean "${near}"?`;
}

/** Levenshtein distance: the number of letters to change, add or remove. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1];
    for (const [j, other] of [...b].entries()) {
      const [change = 0, add = 0, take = 0] = [row[j], next[j], row[j + 1]];
      next.push(Math.min(change + (letter === other ? 0 : 1), add + 1, take + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
