import { StringDecoder } from 'node:string_decoder';
import * as z from 'zod/mini';
import { parseInput } from '../check.ts';
import type { Endpoint, LaunchRequest } from '../os/os.ts';
import { socketPath } from '../ready/readiness.ts';
import { FakeChild } from './fake-child.ts';

/** One process that a fake program stood for; the test says what it does. */
export interface FakeProcess {
  readonly pid: number;
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** All that was written to its stdin so far. */
  readonly input: string;
  readonly isAlive: boolean;
  /** Resolves at its exit. */
  readonly exited: Promise<{
    readonly code: number | null;
    readonly signal: NodeJS.Signals | null;
  }>;
  /** SIGTERM, of which it dies otherwise, does nothing. @default false */
  ignoresSigterm: boolean;
  /** Writes a line to stdout. */
  say(line: string): void;
  /** Writes to stderr. */
  complain(text: string): void;
  /** Takes connections there until its exit, as far as readiness asks; opens no real port or socket. */
  listen(endpoint: { readonly port: number } | { readonly socket: string }): void;
  /** Exits. @param code default 0 */
  exit(code?: number): void;
  /** Dies by a signal. @param signal default SIGSEGV */
  crash(signal?: NodeJS.Signals): void;
}

/** A fake program for `createTestSupervisor({ programs })`. */
export interface FakeProgram {
  /** One for each start, in order. */
  readonly processes: readonly FakeProcess[];
}

const programs = new WeakMap<FakeProgram, (request: LaunchRequest) => ScriptedProcess>();

const startFunction = z.optional(
  z.custom<(process: FakeProcess) => void>((value) => typeof value === 'function', {
    error: 'must be a function that is called with each process',
  }),
);

/**
 * Stands for a program in `createTestSupervisor({ programs })`: it starts no process.
 *
 * `onStart` is called at each start, before anybody hears of it; later the test moves the process by
 * itself. A process goes on until its script, the test or a signal ends it; the end of its stdin does not.
 *
 * @throws SupervisorError `INVALID_OPTIONS`
 *
 * @example
 * ```ts
 * const server = fakeProgram((process) => process.listen({ port: 8000 }));
 * await using supervisor = createTestSupervisor({ programs: { chroma: server } });
 * server.processes[0]?.crash();
 * ```
 */
export function fakeProgram(onStart?: (process: FakeProcess) => void): FakeProgram {
  parseInput(startFunction, onStart, 'fakeProgram', 'onStart');
  const processes: FakeProcess[] = [];
  const program: FakeProgram = { processes };
  programs.set(program, (request) => {
    const process = new ScriptedProcess(request);
    processes.push(process);
    onStart?.(process);
    return process;
  });
  return program;
}

export const isFakeProgram = (value: unknown): value is FakeProgram =>
  programs.has(value as FakeProgram);

/** Starts one more process of a program. */
export function startFake(program: FakeProgram, request: LaunchRequest): ScriptedProcess {
  const start = programs.get(program);
  if (start === undefined) throw new TypeError('not made by fakeProgram()');
  return start(request);
}

/** A fake process, as the supervisor's system sees it as well. */
export class ScriptedProcess implements FakeProcess {
  readonly child: FakeChild;
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly exited: FakeProcess['exited'];
  readonly #endpoints: Endpoint[] = [];
  readonly #decoder = new StringDecoder();
  #input = '';

  constructor({ command, args, cwd, env }: LaunchRequest) {
    this.command = command;
    this.args = args;
    this.cwd = cwd;
    this.env = env;
    this.child = new FakeChild({
      onChunk: (chunk) => {
        this.#input += this.#decoder.write(chunk);
      },
      onEnd: () => undefined,
    });
    this.exited = new Promise((resolve) => {
      this.child.once('exit', (code, signal) => resolve({ code, signal }));
    });
  }

  get pid(): number {
    return this.child.pid;
  }

  get input(): string {
    return this.#input;
  }

  get isAlive(): boolean {
    return !this.child.isOver;
  }

  get ignoresSigterm(): boolean {
    return this.child.ignoresSigterm;
  }

  set ignoresSigterm(ignores: boolean) {
    this.child.ignoresSigterm = ignores;
  }

  say(line: string): void {
    if (this.isAlive) this.child.stdout.write(`${line}\n`);
  }

  complain(text: string): void {
    if (this.isAlive) this.child.stderr.write(text);
  }

  listen(endpoint: { readonly port: number } | { readonly socket: string }): void {
    this.#endpoints.push(endpoint);
  }

  exit(code = 0): void {
    this.child.exit(code, null);
  }

  crash(signal: NodeJS.Signals = 'SIGSEGV'): void {
    this.child.exit(null, signal);
  }

  /** Tells if the program accepts connections at an endpoint. A port is the same at every address. */
  listensAt(asked: Endpoint): boolean {
    return this.isAlive && this.#endpoints.some((own) => isSame(own, asked));
  }
}

function isSame(one: Endpoint, other: Endpoint): boolean {
  if ('port' in one) return 'port' in other && one.port === other.port;
  return 'socket' in other && socketPath(one.socket) === socketPath(other.socket);
}
