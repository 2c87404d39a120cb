import { spawn } from 'node:child_process';
import { join } from 'node:path';

const FOLDER = join(import.meta.dirname, '../fixtures/hosts');

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
}

/** Runs a script of test/fixtures/hosts in a process of its own, to its end. */
export async function runHost(
  script: string,
  { args, env, cwd, runtime = process.execPath }: HostOptions,
): Promise<HostEnd> {
  const host = spawn(runtime, [join(FOLDER, script), ...args], {
    env,
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr, lastOutputMs] = ['', '', performance.now()];
  host.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    lastOutputMs = performance.now();
  });
  host.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return new Promise((resolve, reject) => {
    host.on('error', reject).on('close', (code, signal) => {
      const lines = stdout.split('\n').slice(0, -1);
      resolve({ code, signal, lines, stderr, lingeredMs: performance.now() - lastOutputMs });
    });
  });
}
