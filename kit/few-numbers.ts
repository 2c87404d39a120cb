// A PID namespace with so few numbers that each comes round many times a second.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { CAN_COMPILE, compile } from './compile.ts';
import { CAN_UNSHARE, UNSHARE } from './containment.ts';
import { compileCache } from './host.ts';

const HOST = resolve(import.meta.dirname, '../test/fixtures/hosts/strangers.ts');
const PID_MAX = 420;

/** Before Linux 6.14 there is one pid_max for the whole machine, which is not ours to change. */
function hasOwnPidMax(): boolean {
  if (process.platform !== 'linux') return false;
  const release = readFileSync('/proc/sys/kernel/osrelease', 'latin1');
  const [major = 0, minor = 0] = release.split('.').map(Number);
  return major > 6 || (major === 6 && minor >= 14);
}

export const CAN_MAKE_FEW_NUMBERS = CAN_COMPILE && CAN_UNSHARE && hasOwnPidMax();
if (CAN_COMPILE && CAN_UNSHARE && !hasOwnPidMax())
  console.warn('left out: pid_max belongs to the whole machine before Linux 6.14');

/** What became of the strangers beside a host. */
export interface Outcome {
  /** How many processes the host has run. */
  readonly rounds: number;
  /** How many daemons there were. */
  readonly made: number;
  /** How many of them got a signal. */
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
    const script = `echo ${PID_MAX} > /proc/sys/kernel/pid_max || exit 1; "$@"; exit $?`;
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
