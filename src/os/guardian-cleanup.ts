import type { ChildProcess } from 'node:child_process';
import { builtin } from './builtin.ts';
import type { GuardedCleanup } from './os.ts';

/** Variables that some shell refuses to set, and would end over. */
const READ_ONLY: ReadonlySet<string> = new Set([
  ...['UID', 'EUID', 'GID', 'EGID', 'PPID', 'BASHOPTS', 'SHELLOPTS', 'BASH_VERSINFO', 'LINENO'],
  ...['OPTIND', 'RANDOM', 'SECONDS', 'IFS', 'status', '_'],
]);
/** Shells take no variable with any other name. */
const IDENTIFIER = /^[A-Za-z_]\w*$/;

/**
 * A cleanup as a shell command on one line. A line break in it is the variable `nl` of the guardian's
 * script. Its environment is exported, so that no command line shows it.
 */
export function shellCommand({ command, args, env }: Omit<GuardedCleanup, 'timeoutMs'>): string {
  const exported = Object.entries(env)
    .filter(([name]) => IDENTIFIER.test(name) && !READ_ONLY.has(name))
    .map(([name, value]) => `export ${name}=${quote(value)}`);
  const words = [command, ...args].map(quote).join(' ');
  return [
    ...[`cd ${quote(workingFolder())}`, ...exported],
    // A session of its own: what is too slow is ended with all that it has started.
    ...[`command -v setsid >/dev/null && exec setsid ${words}`, `exec ${words}`],
  ].join('; ');
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''").replaceAll('\n', `'"$nl"'`)}'`;
}

function workingFolder(): string {
  try {
    return process.cwd();
  } catch {
    // It was removed.
    return '/';
  }
}

/** Runs a cleanup in a guardian that is no shell; resolves when it is over, or ended for its time. */
export function runGuardedCleanup({
  command,
  args,
  env,
  timeoutMs,
}: GuardedCleanup): Promise<void> {
  const { spawn } = builtin('node:child_process');
  return new Promise((resolve) => {
    const detached = process.platform !== 'win32';
    const options = { env, detached, windowsHide: true, stdio: 'ignore' } as const;
    const child: ChildProcess = spawn(command, args, options);
    const timer = setTimeout(() => end(child, detached), Math.min(timeoutMs, 2 ** 31 - 1));
    const over = () => {
      clearTimeout(timer);
      resolve();
    };
    child.once('error', over).once('exit', over);
  });
}

function end(child: ChildProcess, leadsGroup: boolean): void {
  try {
    if (leadsGroup && child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    else child.kill('SIGKILL');
  } catch {
    // It has exited meanwhile.
  }
}
