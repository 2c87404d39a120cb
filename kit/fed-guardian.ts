// The guardian's script, fed by hand under every shell that a system may call `sh`.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { GUARDIAN_SCRIPT } from '../src/os/guardian-script.ts';
import { type Area, CAN_CONTAIN } from './containment.ts';
import { type ProcessRow, readRow } from './process-table.ts';
import { hasProgram } from './programs.ts';

export interface Shell {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  /** Only the shell's own built-in commands and tools, no GNU grep and sleep. */
  readonly ownTools?: boolean;
  /** No /proc, only ps, as on macOS. */
  readonly onlyPs?: boolean;
}

const SHELLS: readonly Shell[] = [
  { name: 'dash', command: ['/bin/dash'] },
  { name: 'bash', command: ['/bin/bash'] },
  { name: 'zsh', command: ['/usr/bin/zsh'] },
  { name: 'mksh', command: ['/usr/bin/mksh'] },
  { name: 'busybox sh', command: ['/bin/busybox', 'sh'] },
  { name: 'busybox sh with its own tools', command: ['/bin/busybox', 'sh'], ownTools: true },
  ...['/bin/dash', '/bin/bash', '/usr/bin/zsh'].map((path): Shell => {
    return { name: `${path} where only ps tells`, command: [path], onlyPs: true };
  }),
];
/** The shells that are installed. */
export const PRESENT = SHELLS.filter(({ command: [path] }) => CAN_CONTAIN && hasProgram(path));

/** Selects the one shell of `npm test`; the slow lane runs the others. */
export const QUICK = ({ command: [path] }: Shell): boolean => path === '/bin/dash';

// Unique, or the guardians of two test files would end each other's processes.
export const OWNER = `OwnerOfThisTest${process.pid}`;
/** The owner's eleven digits in the tags of its processes. */
export const TAG = String(10_000_000_000 + process.pid);
const TIMES = { politeMs: 300, forcedMs: 1000 };
/** A look by ps starts many small programs, which take long on a busy machine. */
const PS_TIMES = { ...TIMES, forcedMs: 10_000 };

/** Options that make a shell behave as `sh` where its name does not. */
const AS_SH: Readonly<Record<string, readonly string[]>> = {
  '/bin/bash': ['--posix', '--norc'],
  '/usr/bin/zsh': ['--emulate', 'sh'],
};

export interface FeedOptions {
  readonly times?: { readonly politeMs: number; readonly forcedMs: number };
  readonly tag?: string;
  /** A command prefix for the shell. */
  readonly through?: readonly string[];
  /** @default PATH of this process */
  readonly path?: string;
  /** Changes the script, for controls. */
  readonly change?: (script: string) => string;
}

export class FedGuardian {
  readonly child: ChildProcess;
  readonly errors: string[] = [];
  readonly #onlyPs: boolean;
  readonly #ended: Promise<never>;

  constructor(
    area: Area,
    { command, ...system }: Shell,
    { times, tag = '', through = [], path, change = (script) => script }: FeedOptions = {},
  ) {
    this.#onlyPs = system.onlyPs === true;
    const { politeMs, forcedMs } = times ?? (this.#onlyPs ? PS_TIMES : TIMES);
    const original = this.#onlyPs
      ? GUARDIAN_SCRIPT.replace('/proc/self', '/none')
      : GUARDIAN_SCRIPT;
    const script = change(original);
    const argv = ['-c', script, 'agent-supervisor-guardian', OWNER, `${politeMs}`, `${forcedMs}`];
    const sh = through.length > 0 ? (AS_SH[command[0]] ?? []) : [];
    const [program = '', ...args] = [...through, ...command, ...sh, ...argv, tag];
    const all = process.env['PATH'] ?? '';
    this.child = spawn(program, args, {
      // Called `sh` as in practice; bash under its own name would read ~/.bashrc on a socket.
      argv0: ['/bin/bash', '/usr/bin/zsh'].includes(program) ? 'sh' : program,
      detached: true,
      cwd: '/',
      env: {
        LC_ALL: 'C',
        PATH:
          path ?? (system.ownTools ? busyboxTools(area) : this.#onlyPs ? macTools(area, all) : all),
      },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.child.stderr?.on('data', (text) => this.errors.push(String(text)));
    this.#ended = once(this.child, 'close').then(([code]) => {
      throw new Error(`the guardian has ended with ${code}: ${this.errors.join('')}`);
    });
    this.#ended.catch(() => undefined);
  }

  async ready(): Promise<this> {
    const { stdout } = this.child;
    const said = stdout === null ? [] : await Promise.race([once(stdout, 'data'), this.#ended]);
    expect(String(said[0])).toMatch(/^ready \d+\n$/);
    return this;
  }

  tell(line: string): void {
    this.child.stdin?.write(`${line}\n`);
  }

  /** Registers a process; its start time is forged to be later `by` this much. */
  register({ pid, startTime }: Pick<ProcessRow, 'pid' | 'startTime'>, by = 0): void {
    this.tell(`+ ${pid} ${(this.#onlyPs ? secondsOf(pid) : Number(startTime)) + by}`);
  }

  /** Closes the pipe, as the death of the host does. */
  async hangUp(): Promise<number | null> {
    const exit = once(this.child, 'exit');
    this.child.stdin?.end();
    return (await exit)[0];
  }
}

function busyboxTools(area: Area): string {
  const folder = join(area.folder, 'tools');
  mkdirSync(folder);
  for (const tool of ['grep', 'sleep', 'date', 'ps'])
    symlinkSync('/bin/busybox', join(folder, tool));
  return folder;
}

/** Stand-ins for tools that differ on macOS: environments in ps, and dates in date. */
function macTools(area: Area, path: string): string {
  const folder = join(area.folder, 'mac-tools');
  mkdirSync(folder);
  const ps = 'case "$*" in *" -E "*) shift 3; exec /bin/ps axeww "$@" ;; esac; exec /bin/ps "$@"';
  const date = 'case $1 in -j*) exec /bin/date -u -d "$3" "$4" ;; esac; exec /bin/date "$@"';
  for (const [name, script] of Object.entries({ ps, date }))
    writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return `${folder}:${path}`;
}

/** The start time of a process, as a look on macOS shows it. */
function secondsOf(pid: number): number {
  const env = { LC_ALL: 'C', TZ: 'UTC' };
  const started = execFileSync('/bin/ps', ['-o', 'lstart=', '-p', `${pid}`], { env });
  return Date.parse(`${started} UTC`) / 1000;
}

/** Starts a process in its own session; `AGENT_SUPERVISOR_COOKIE` is its cookie. */
export function started(
  area: Area,
  env: Readonly<Record<string, string>>,
  [command = '', ...args]: readonly string[] = ['sleep', '300'],
): ProcessRow {
  const { pid = 0 } = spawn(command, args, {
    detached: true,
    stdio: 'ignore',
    env: { ...area.env, ...env },
  });
  const row = readRow(pid);
  if (row === undefined) throw new Error('it did not start');
  return row;
}

export const carrying = (cookie: string) => ({ AGENT_SUPERVISOR_COOKIE: cookie });
