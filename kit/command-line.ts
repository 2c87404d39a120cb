// Runs the command `agent-supervisor` as a person does: by arguments, in a pipe, in a terminal.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { commandFile } from './built-sources.ts';
import { type Area, CAN_CONTAIN, it as inArea } from './containment.ts';
import { eventually, type Patience, type ProcessRow } from './process-table.ts';
import { hasProgram } from './programs.ts';

const run = promisify(execFile);

/** The command's main file. */
export const MAIN = commandFile();

export interface Outcome {
  /** As a shell reports it: 128 + n for a signal. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CallOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** The content of stdin; without it, stdin is /dev/null. */
  readonly input?: string | Buffer;
  readonly cwd?: string;
  readonly uid?: number;
}

async function outcomeOf(child: ChildProcess): Promise<Outcome> {
  const [stdout, stderr] = [streamText(child.stdout), streamText(child.stderr)];
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  return {
    code: signal === null ? (code ?? -1) : 128 + constants.signals[signal],
    stdout: await stdout,
    stderr: await stderr,
  };
}

/** The command, with an area's state directory. */
export class CommandLine {
  readonly area: Area;

  constructor(area: Area) {
    this.area = area;
  }

  /** Runs the command to its end. */
  async call(args: readonly string[], options: CallOptions = {}): Promise<Outcome> {
    return outcomeOf(this.start(args, options));
  }

  start(args: readonly string[], { env, input, cwd, uid }: CallOptions = {}): ChildProcess {
    // Another user could not write the coverage files, and Node would print an error.
    const uncovered = uid === undefined ? {} : { NODE_V8_COVERAGE: '' };
    const child = spawn(process.execPath, [MAIN, ...args], {
      env: { ...this.env, ...uncovered, ...env },
      cwd: cwd ?? this.area.folder,
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      ...(uid === undefined ? {} : { uid, gid: uid }),
    });
    child.stdin?.on('error', () => undefined).end(input);
    return child;
  }

  /** Runs a line of bash with `agent-supervisor` as a command. */
  async bash(line: string, env: CallOptions['env'] = {}): Promise<Outcome> {
    return this.#shell(['bash', '--norc', '-c', `${FUNCTION}\n${line}`], env);
  }

  /** Runs a line of fish with `agent-supervisor` as a command. */
  async fish(line: string): Promise<Outcome> {
    const command = 'function agent-supervisor; "$NODE" "$MAIN" $argv; end';
    return this.#shell(['fish', '--no-config', '-c', `${command}\n${line}`]);
  }

  async #shell([shell = '', ...args]: string[], env: CallOptions['env'] = {}): Promise<Outcome> {
    const child = spawn(shell, args, {
      env: { ...this.env, ...env },
      cwd: this.area.folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return outcomeOf(child);
  }

  get env(): Record<string, string> {
    const { env, stateDir } = this.area;
    return { ...env, AGENT_SUPERVISOR_STATE_DIR: stateDir, NODE: process.execPath, MAIN };
  }
}

const FUNCTION = 'agent-supervisor() { "$NODE" "$MAIN" "$@"; }';

/** A script that ignores SIGTERM and SIGHUP, with a child in a session of its own. */
export const TREE = 'trap "" TERM HUP; setsid sleep 300 & echo ready; exec sleep 300';

/** Waits for the processes that `run` has started. */
export async function sleepers(line: CommandLine, count = 2): Promise<ProcessRow[]> {
  return eventually(() => {
    const rows = line.area.tree().filter(({ args }) => args[0] === 'sleep');
    return rows.length === count && rows;
  });
}

const streamText = (stream: NodeJS.ReadableStream | null) =>
  stream === null ? Promise.resolve('') : text(stream);

export const CAN_TYPE = CAN_CONTAIN && hasProgram('/usr/bin/tmux');

/** A shell in a tmux terminal of its own. */
class Shell {
  readonly #line: CommandLine;
  readonly #env: Record<string, string>;

  constructor(line: CommandLine) {
    this.#line = line;
    // The socket is in the area, so that no other tmux server is reached.
    this.#env = { ...line.env, TMUX_TMPDIR: line.area.folder, LC_ALL: 'C.UTF-8' };
  }

  async open({
    columns = 120,
    rows = 30,
    term = 'tmux-256color',
    shell = 'bash' as 'bash' | 'zsh',
    /** Commands that the shell runs first. */
    rc = '',
  } = {}): Promise<void> {
    const { folder } = this.#line.area;
    const path = join(folder, '.zshrc');
    writeFileSync(path, `${FUNCTION}\nPS1='READY> '\nexport TERM=${term}\n${rc}\n`);
    const size = ['-x', String(columns), '-y', String(rows)];
    const begin = { bash: `exec bash --rcfile ${path} -i`, zsh: `ZDOTDIR=${folder} exec zsh -i` };
    await this.#tmux('new-session', '-d', ...size, begin[shell]);
    await this.sees('READY>');
  }

  async close(): Promise<void> {
    await this.#tmux('kill-server').catch(() => undefined);
  }

  /** Types a line and Enter. */
  async type(line: string): Promise<void> {
    await this.#tmux('send-keys', '-l', line);
    await this.press('Enter');
  }

  /** Types a line and Tab. */
  async complete(line: string): Promise<void> {
    await this.#tmux('send-keys', '-l', line);
    await this.press('Tab');
  }

  /** Presses keys, named as in tmux: `C-c`, `Enter`, `q`. */
  async press(...keys: readonly string[]): Promise<void> {
    await this.#tmux('send-keys', ...keys);
  }

  async resize(columns: number, rows: number): Promise<void> {
    await this.#tmux('resize-window', '-x', String(columns), '-y', String(rows));
  }

  /** Returns the text on the screen. */
  async screen(...flags: readonly string[]): Promise<string> {
    return this.#tmux('capture-pane', '-p', ...flags);
  }

  /** Waits until the screen holds this, and returns the screen. */
  async sees(wanted: string | RegExp, patience: Patience = {}): Promise<string> {
    let last = '';
    return eventually(
      async () => {
        last = await this.screen();
        return (typeof wanted === 'string' ? last.includes(wanted) : wanted.test(last)) && last;
      },
      { timeoutMs: 15_000, everyMs: 50, what: `the screen shows ${wanted}`, ...patience },
    ).catch((error: Error) => {
      throw new Error(`${error.message}\n${last}`);
    });
  }

  /** Reports whether the alternate screen is on, and whether the cursor is visible. */
  async mode(): Promise<string> {
    return (await this.#tmux('display', '-p', '#{alternate_on} #{cursor_flag}')).trim();
  }

  /** Expects the shell back at its prompt, echoing and running what is typed. */
  async isBack(): Promise<void> {
    const isLeft = async () => (await this.mode()) === '0 1';
    await eventually(isLeft, { timeoutMs: 15_000, what: 'the other page is left' });
    await this.#tmux('send-keys', '-l', 'echo typed-$((20+3))');
    await this.sees('echo typed-$((20+3))');
    await this.press('Enter');
    await this.sees(/^typed-23$/m);
  }

  async #tmux(...args: readonly string[]): Promise<string> {
    const { stdout } = await run('tmux', ['-L', 'shell', '-f', '/dev/null', ...args], {
      env: this.#env,
      cwd: this.#line.area.folder,
    });
    return stdout;
  }
}

/** A test with the command, and with a shell in a terminal if it asks for one. */
export const it = inArea
  .extend('line', ({ area }) => new CommandLine(area))
  .extend('shell', async ({ line }, { onCleanup }) => {
    const shell = new Shell(line);
    onCleanup(() => shell.close());
    return shell;
  });
