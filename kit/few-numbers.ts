// A PID namespace with so few pids that each is reused many times a second.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { compile } from './compile.ts';
import { compileCache } from './host.ts';
import { FEW_NUMBERS, UNSHARE } from './pid-namespace.ts';

export { CAN_MAKE_FEW_NUMBERS } from './pid-namespace.ts';

const HOST = resolve(import.meta.dirname, '../test/fixtures/hosts/strangers.ts');

/** The fate of unrelated processes beside a host. */
export interface Outcome {
  /** Number of processes that the host has run. */
  readonly rounds: number;
  /** Number of daemons that were made. */
  readonly made: number;
  /** Number of daemons that got a signal. */
  readonly hit: number;
}

/** Runs short processes under a supervisor beside a program that makes daemons. */
export async function besideStrangers(
  seconds: number,
  proof: 'proof' | 'no-proof',
): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'few-numbers-'));
  try {
    const maker = compile('daemons', folder);
    const script = `echo ${FEW_NUMBERS} > /proc/sys/kernel/pid_max || exit 1; "$@"; exit $?`;
    const host = [process.execPath, HOST, String(seconds), folder, proof, maker];
    const [command, ...args] = [...UNSHARE, 'sh', '-c', script, 'sh', ...host];
    const env = { PATH: process.env['PATH'], HOME: folder, ...compileCache() };
    const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    await once(child, 'close');
    return JSON.parse(said) as Outcome;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
