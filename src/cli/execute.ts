import type { Terminal } from '../os/terminal.ts';
import { type Arguments, parseArguments } from './arguments.ts';
import { Refusal } from './refusal.ts';
import { type CommandName, help, isCommand, USAGE } from './usage.ts';

/** Carries out a command; resolves to the exit code. */
export type Command = (args: Arguments, terminal: Terminal) => Promise<number>;

// Each is loaded when it is called: `--version` and `--help` need none of them.
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

/** Carries out what the terminal's arguments say. */
export async function execute(terminal: Terminal): Promise<void> {
  const { args, stdout, stderr } = terminal;
  const [name = '--help', ...rest] = args;
  try {
    if (name === '--version' || name === '-v') {
      const { packageVersion } = await import('../os/package-version.ts');
      stdout.write(`${packageVersion()}\n`);
    } else if (name === '--help' || name === '-h' || name === 'help') {
      stdout.write(help(rest[0] !== undefined && isCommand(rest[0]) ? rest[0] : undefined));
      if (args.length === 0) terminal.setExitCode(2);
    } else if (isCommand(name)) {
      const parsed = parseArguments(name, rest);
      if (parsed.help) stdout.write(help(name));
      else terminal.setExitCode(await (await COMMANDS[name]()).run(parsed, terminal));
    } else {
      throw new Refusal(
        `There is no command "${name}".${didYouMean(name)} "agent-supervisor --help" lists them.`,
      );
    }
  } catch (error) {
    // What is no refusal and no error of ours is a mistake of ours: its stack says where.
    stderr.write(`agent-supervisor: ${lineOf(error)}\n`);
    terminal.setExitCode(error instanceof Refusal ? error.exitCode : 2);
  }
}

function lineOf(error: unknown): string {
  if (error instanceof Refusal) return error.message;
  const { code, message, stack } = error as { code?: unknown; message?: string; stack?: string };
  return (typeof code === 'string' ? message : stack) ?? String(error);
}

/** The command that begins alike, or has the same letters. */
function didYouMean(name: string): string {
  const near = Object.keys(USAGE).find(
    (command) =>
      command.startsWith(name) || name.startsWith(command) || distance(name, command) <= 2,
  );
  return near === undefined ? '' : ` Did you mean "${near}"?`;
}

/** How many letters are to be changed, added or taken away (Levenshtein). */
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
