import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';

const FOLDER = join(import.meta.dirname, '../test/fixtures/hosts');

export interface HostEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly lines: readonly string[];
  readonly stderr: string;
  /** From the last output to the exit. */
  readonly lingeredMs: number;
}

export interface HostOptions {
  readonly args: readonly string[];
  /** The host's whole environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** @default this Node */
  readonly runtime?: string | undefined;
  /** What the runtime is told before the script, as Deno's `run -A`. */
  readonly flags?: readonly string[];
}

export interface Host {
  readonly pid: number;
  kill(signal: NodeJS.Signals): void;
  /** Resolves when the host has written a line that begins so; rejects if it ends before. */
  line(start: string): Promise<string>;
  readonly end: Promise<HostEnd>;
}

/** Runs a script of test/fixtures/hosts, or of an absolute path, in a process of its own, to its end. */
export function runHost(script: string, options: HostOptions): Promise<HostEnd> {
  return startHost(script, options).end;
}

/** Where hosts find what others have compiled already (vitest.config.ts). */
export function compileCache(): { NODE_COMPILE_CACHE?: string } {
  const { NODE_COMPILE_CACHE: folder } = process.env;
  return folder === undefined ? {} : { NODE_COMPILE_CACHE: folder };
}

/** Starts a script of test/fixtures/hosts, or of an absolute path, in a process of its own. */
export function startHost(
  script: string,
  { args, env, cwd, runtime = process.execPath, flags = [] }: HostOptions,
): Host {
  const host = spawn(runtime, [...flags, resolve(FOLDER, script), ...args], {
    env: { ...compileCache(), ...env },
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr, lastOutputMs] = ['', '', performance.now()];
  host.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    lastOutputMs = performance.now();
    host.emit('output');
  });
  host.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const lines = () => stdout.split('\n').slice(0, -1);
  const end = new Promise<HostEnd>((resolve, reject) => {
    host.on('error', reject).on('close', (code, signal) => {
      const lingeredMs = performance.now() - lastOutputMs;
      resolve({ code, signal, lines: lines(), stderr, lingeredMs });
    });
  });
  const line = (start: string) =>
    new Promise<string>((resolve, reject) => {
      const check = (): void => {
        const found = lines().find((one) => one.startsWith(start));
        if (found !== undefined) resolve(found);
      };
      host.on('output', check);
      check();
      void end.then(({ stderr }) =>
        reject(new Error(`the host ended without "${start}": ${stderr}`)),
      );
    });
  return { pid: host.pid ?? 0, kill: (signal) => void host.kill(signal), line, end };
}
