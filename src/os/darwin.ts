import { builtin } from './builtin.ts';
import type { Processes, ProcessTable } from './os.ts';
import { parseBootId, parsePs } from './parse.ts';

/** Time after which `ps` or `sysctl` is killed. */
const TIMEOUT_MS = 10_000;
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;
const COLUMNS = 'pid=,ppid=,pgid=,stat=,lstart=,ucomm=,command=';

/** Runs a system program and returns its stdout. */
export async function output(file: string, args: readonly string[]): Promise<string> {
  // Loaded at first use: only some hosts need it.
  const { execFile } = builtin('node:child_process');
  const { promisify } = builtin('node:util');
  const { stdout } = await promisify(execFile)(file, args, {
    // Nothing of the host's: no locale, no time zone, and no cookie that would mark it as a
    // descendant.
    env: { LC_ALL: 'C', TZ: 'UTC', PATH: '/usr/bin:/bin:/usr/sbin:/sbin' },
    encoding: 'latin1',
    maxBuffer: MAX_OUTPUT_BYTES,
    timeout: TIMEOUT_MS,
    killSignal: 'SIGKILL',
  });
  return stdout;
}

/**
 * The process table of macOS, from `/bin/ps`: one listing with and one without environments, in
 * parallel.
 *
 * A snapshot rejects when `ps` fails, or lists everything but this process. Environments of system
 * binaries and of other users' processes are hidden. So is that of a program which shortened its
 * own title (adv_cmds, `ps/print.c`). All of these show no cookie.
 */
export function darwinProcesses(): Processes {
  return {
    async snapshot(): Promise<ProcessTable> {
      const [plain, withEnvironment] = await Promise.all([
        output('/bin/ps', ['-A', '-ww', '-o', COLUMNS]),
        output('/bin/ps', ['-A', '-E', '-ww', '-o', COLUMNS]),
      ]);
      const entries = parsePs(plain, withEnvironment).map((entry) => [entry.pid, entry] as const);
      const table = new Map(entries);
      // A process that is missing from the table counts as dead, so an incomplete table is worse
      // than none.
      if (!table.has(process.pid)) throw new Error('/bin/ps did not list this process');
      return table;
    },
  };
}

/** Tells this boot of macOS from every other; `''` when the system does not say. */
export async function darwinBootId(): Promise<string> {
  // kern.boottime moves when the clock is set: it is for systems without the first name only.
  for (const name of ['kern.bootsessionuuid', 'kern.boottime']) {
    const bootId = parseBootId(await output('/usr/sbin/sysctl', ['-n', name]).catch(() => ''));
    if (bootId !== '') return bootId;
  }
  return '';
}
