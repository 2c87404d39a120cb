// A program that a test starts, seen from outside: its output, a line to wait for, its end.
import { type ChildProcess, spawn } from 'node:child_process';

/**
 * A host that nothing keeps alive exits within this time, on a busy machine too. A host that a timer of
 * the supervisor keeps alive does not: the shortest such timer is the SIGTERM step.
 */
export const LINGER_MS = 4500;

export interface ProgramEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly lines: readonly string[];
  readonly stderr: string;
  /** Time from the last output to the end. */
  readonly lingeredMs: number;
}

export interface ProgramOptions {
  /** The program's whole environment. @default this process's own */
  readonly env?: NodeJS.ProcessEnv | undefined;
  readonly cwd?: string | undefined;
  /** @default 'ignore' */
  readonly stdin?: 'ignore' | 'pipe';
  /** Opens an IPC channel to this process. @default false */
  readonly ipc?: boolean | undefined;
}

export interface Program {
  readonly child: ChildProcess;
  readonly pid: number;
  /** The output so far. */
  readonly stdout: string;
  readonly stderr: string;
  /** Resolves with a line that begins like this; rejects if the program ends before. */
  line(start?: string): Promise<string>;
  kill(signal: NodeJS.Signals): void;
  /** Resolves when it has exited and its output is closed; rejects if it was not started. */
  readonly end: Promise<ProgramEnd>;
}

export function startProgram(
  [command = '', ...args]: readonly string[],
  { env, cwd, stdin = 'ignore', ipc = false }: ProgramOptions = {},
): Program {
  const child = spawn(command, args, {
    env,
    cwd,
    stdio: [stdin, 'pipe', 'pipe', ...(ipc ? ['ipc' as const] : [])],
  });
  let [stdout, stderr, lastOutputMs] = ['', '', performance.now()];
  // It may exit before stdin is written.
  child.stdin?.on('error', () => undefined);
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    lastOutputMs = performance.now();
    child.emit('output');
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const lines = () => stdout.split('\n').slice(0, -1);
  const end = new Promise<ProgramEnd>((resolve, reject) => {
    child.on('error', reject).on('close', (code, signal) => {
      const lingeredMs = performance.now() - lastOutputMs;
      resolve({ code, signal, lines: lines(), stderr, lingeredMs });
    });
  });
  // A caller that does not wait for the end gets the error from the wait it does use.
  end.catch(() => undefined);
  const line = (start = '') =>
    new Promise<string>((resolve, reject) => {
      const check = (): void => {
        const found = lines().find((one) => one.startsWith(start));
        if (found !== undefined) resolve(found);
      };
      child.on('output', check);
      check();
      end.then(
        ({ stderr }) => reject(new Error(`the program ended without "${start}": ${stderr}`)),
        reject,
      );
    });
  return {
    child,
    pid: child.pid ?? 0,
    get stdout() {
      return stdout;
    },
    get stderr() {
      return stderr;
    },
    line,
    kill: (signal) => void child.kill(signal),
    end,
  };
}
