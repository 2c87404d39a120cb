import type { ChildProcess, StdioOptions } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import type { Duplex, Readable, Writable } from 'node:stream';
import { builtin } from './builtin.ts';
import { shellCommand } from './guardian-cleanup.ts';
import { GUARDIAN_NAME } from './guardian-name.ts';
import { GUARDIAN_SCRIPT } from './guardian-script.ts';
import { readStat } from './linux.ts';
import type { Guard, GuardedCleanup, GuardRequest } from './os.ts';
import { whyRuntimeIsApplication } from './runtime.ts';

/** Eleven days: the most that every shell can add to its clock (mksh counts in 32 bits). */
const MAX_GRACE_MS = 1_000_000_000;

/**
 * Forks the guardian into the background and exits, so that init becomes its parent. Then it
 * survives when somebody kills the host's whole process tree. `$1` is `tagged` if the host carries
 * tags: the guardian must not inherit them, so its limits are lowered. `$2` is the guardian's
 * script; the rest are its arguments.
 */
const LAUNCH = `
if [ "$1" = tagged ]; then
  prlimit --pid $$ --locks=0:0 --rss=0:0 --rttime=0:0 ||
    { ulimit -w 0 || ulimit -x 0; ulimit -m 0; ulimit -R 0; }
fi
script=$2
shift 2
/bin/sh -c "$script" ${GUARDIAN_NAME} "$@" <&3 >&3 3<&- &
`;

/** True if orphans become children of this host: as pid 1, or by prctl(2). */
let adoptsOrphans = process.pid === 1;

/** Starts the kind of guardian that this system can run. */
export function startGuard(request: GuardRequest): Guard {
  const hasShell = process.platform !== 'win32' && existsSync('/bin/sh');
  return hasShell ? guardByShell(request) : guardByNode(request);
}

/** Starts the guardian as a POSIX shell on a pipe: under 4 MB, and no forks while it waits. */
export function guardByShell(
  { owner, tag, hold, ...times }: GuardRequest,
  script = GUARDIAN_SCRIPT,
): Guard {
  // No argument may be empty: old versions of Bun drop empty ones.
  const args = [owner, ...wholeMs(times), ...(tag === undefined ? [] : [tag])];
  const { PATH = '' } = process.env;
  const env = { LC_ALL: 'C', PATH: `/usr/bin:/bin:${PATH}` };
  // Only Node would reap the launcher and the guardian there.
  if (adoptsOrphans)
    return guardBy('/bin/sh', ['-c', script, GUARDIAN_NAME, ...args], env, holding(PIPES, hold));
  const tagged = isTagged() ? 'tagged' : 'untagged';
  const launcher = ['-c', LAUNCH, 'agent-supervisor-launcher', tagged, script, ...args];
  return guardBy('/bin/sh', launcher, env, holding(LAUNCHED, hold));
}

/**
 * Runs the program in the first line of its stdin (JSON); the lines after it are for that program.
 * So no file has to lie beside the bundle, and no command line gets too long for Windows.
 */
const BOOT = `
const { stdin } = process;
let text = '';
stdin.setEncoding('utf8').on('data', function read(chunk) {
  text += chunk;
  const end = text.indexOf('\\n');
  if (end < 0) return;
  stdin.pause().off('data', read);
  if (text.length > end + 1) stdin.unshift(text.slice(end + 1));
  import('data:text/javascript,' + encodeURIComponent(JSON.parse(text.slice(0, end))));
});
`;

/** Starts the guardian in this host's own runtime on a pipe, where there is no POSIX shell. */
export function guardByNode({ owner, tag, hold, ...times }: GuardRequest): Guard {
  const ofTags = tag === undefined ? [] : [tag];
  const args = [owner, ...wholeMs(times), String(process.pid), ...ofTags];
  const waiting: string[] = [];
  let guard: Guard | undefined;
  const start = async (): Promise<Guard> => {
    const [why, { guardianProgram }] = await Promise.all([
      whyRuntimeIsApplication(),
      import('./guardian-program.ts'),
    ]);
    if (why !== undefined) throw new Error(`${why}: as a guardian it would start once more`);
    const env = {
      PATH: process.env['PATH'],
      // Without this, Electron would open a window instead of acting as Node.
      ELECTRON_RUN_AS_NODE: '1',
    };
    const command = ['-e', BOOT, GUARDIAN_NAME, ...args];
    guard = guardBy(process.execPath, command, env, holding(PIPES, hold), JSON.stringify);
    for (const line of [JSON.stringify(guardianProgram()), ...waiting]) guard.write(line);
    return guard;
  };
  const started = start();
  const write = (line: string) => (guard ? guard.write(line) : void waiting.push(line));
  return {
    get pid() {
      return guard?.pid;
    },
    ready: started.then(({ ready }) => ready),
    write,
    addCleanup: (key, cleanup) => write(cleanupLine(key, cleanup, JSON.stringify)),
    onExit: (listener) => void started.then(({ onExit }) => onExit(listener), listener),
    isStopped: () => guard?.isStopped?.() ?? false,
  };
}

function wholeMs({ politeMs, forcedMs }: Pick<GuardRequest, 'politeMs' | 'forcedMs'>): string[] {
  return [politeMs, forcedMs].map((ms) => String(Math.min(Math.ceil(ms), MAX_GRACE_MS)));
}

/** True if this host was launched by a supervisor that tags its processes. */
function isTagged(): boolean {
  try {
    const limits = readFileSync('/proc/self/limits', 'latin1');
    return /^Max (?:resident set|file locks|realtime timeout) +\d+ +\d{19} /m.test(limits);
  } catch {
    return false;
  }
}

/** One pipe for both directions: stdin and stdout end together with the launcher. */
const LAUNCHED: StdioEntry[] = ['ignore', 'ignore', 'ignore', 'pipe'];
const PIPES: StdioEntry[] = ['pipe', 'pipe', 'ignore'];

type StdioEntry = 'ignore' | 'pipe' | number;

/** The descriptor number that a guardian holds open for its host; the script uses lower ones. */
const HELD = 5;

function holding(stdio: readonly StdioEntry[], fd: number | undefined): StdioOptions {
  if (fd === undefined) return [...stdio];
  const unused = Array<StdioEntry>(HELD - stdio.length).fill('ignore');
  return [...stdio, ...unused, fd];
}

/** Starts the guardian. `env` is its whole environment: with a cookie it would find itself. */
function guardBy(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  stdio: StdioOptions,
  encode: (cleanup: GuardedCleanup) => string = shellCommand,
): Guard {
  // Loaded at first use: only some hosts need it.
  const { spawn } = builtin('node:child_process');
  const child = spawn(command, args, {
    // A session of its own keeps away signals to the host's terminal or group. On Windows it also
    // keeps the guardian out of the job that ends the host's other children.
    detached: true,
    windowsHide: true,
    cwd: '/',
    env,
    stdio,
  });
  // When file descriptors run out there are no pipes, only an error.
  const both = child.stdio?.[3] as Duplex | null | undefined;
  const orders: Writable | null = both ?? child.stdin;
  const life = lifeOf(child, both ?? child.stdout);
  // Lines written after its death are lost, and nobody needs them.
  orders?.on('error', () => undefined);
  // Neither the guardian nor its pipes, once it is ready, may keep the host alive.
  child.unref();
  if (orders !== both) unref(orders);
  const write = (line: string) => void orders?.write(`${line}\n`);
  return {
    get pid() {
      return life.pid;
    },
    ready: life.ready,
    write,
    addCleanup: (key, cleanup) => write(cleanupLine(key, cleanup, encode)),
    onExit: life.onExit,
    isStopped: () => life.pid !== undefined && isStopped(life.pid),
  };
}

/** The line that gives a guardian a cleanup; `encode` says it in the guardian's own language. */
function cleanupLine(
  key: number,
  cleanup: GuardedCleanup,
  encode: (cleanup: GuardedCleanup) => string,
): string {
  const forMs = Math.min(Math.ceil(cleanup.timeoutMs), MAX_GRACE_MS);
  return `cleanup ${key} ${forMs} ${encode(cleanup)}`;
}

/**
 * Follows the guardian by the pipe on which it reports, which it holds open for life. The spawned
 * process may be only the launcher.
 */
function lifeOf(child: ChildProcess, voice: Readable | null) {
  const exited = Promise.withResolvers<void>();
  const { promise: ready, resolve, reject } = Promise.withResolvers<void>();
  const life = { pid: undefined as number | undefined, ready, onExit };
  let said = '';
  voice?.setEncoding('latin1').on('data', (text: string) => {
    said += text;
    const pid = /^ready (\d+)\n/.exec(said)?.[1];
    if (pid === undefined || life.pid !== undefined) return;
    life.pid = Number(pid);
    // If the guardian became our child, spawn the next one directly, so that Node reaps it.
    if (process.platform === 'linux' && life.pid !== child.pid)
      adoptsOrphans ||= readStat(life.pid)?.ppid === process.pid;
    // Until now the pipe kept alive a host that waits for the guardian.
    unref(voice);
    resolve();
  });
  child.once('error', reject);
  voice?.on('error', () => undefined).once('close', exited.resolve);
  void exited.promise.then(() => reject(new Error('the guardian exited at once')));
  return life;

  function onExit(listener: () => void): void {
    void exited.promise.then(listener);
  }
}

/** Unrefs a stream; Bun's may lack the method, and keep nothing alive there. */
function unref(stream: unknown): void {
  (stream as { unref?(): void } | null | undefined)?.unref?.();
}

/**
 * True while a process is stopped (SIGSTOP): such a guardian does not notice the host's death.
 * Linux only.
 */
function isStopped(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return /^[Tt]/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
}
