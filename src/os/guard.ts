import type { ChildProcess, StdioOptions } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import type { Duplex, Readable, Writable } from 'node:stream';
import { builtin } from './builtin.ts';
import { GUARDIAN_NAME } from './guardian-name.ts';
import { GUARDIAN_SCRIPT } from './guardian-script.ts';
import { readStat } from './linux.ts';
import type { Guard, GuardRequest } from './os.ts';
import { whyRuntimeIsApplication } from './runtime.ts';

/** Eleven days: what every shell can add to its clock (mksh counts in 32 bits). */
const MAX_GRACE_MS = 1_000_000_000;

/**
 * Forks the guardian into the background and goes: then init is its parent, and nobody who ends the
 * host with all below it finds it. `$1` says that the host bears tags, which are not for the guardian:
 * it takes a lower number on purpose. `$2` is its script, and what follows its arguments.
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

/** Whether this host is the one to whom the system gives orphans, as pid 1 or by prctl(2). */
let adoptsOrphans = process.pid === 1;

/** Starts the guardian that this system can run. */
export function startGuard(request: GuardRequest): Guard {
  const hasShell = process.platform !== 'win32' && existsSync('/bin/sh');
  return hasShell ? guardByShell(request) : guardByNode(request);
}

/** Starts the guardian as a POSIX shell on a pipe: under 4 MB, and it forks nothing while it waits. */
export function guardByShell(
  { owner, tag, hold, ...times }: GuardRequest,
  script = GUARDIAN_SCRIPT,
): Guard {
  // No argument may be empty: old versions of Bun leave it out.
  const args = [owner, ...wholeMs(times), ...(tag === undefined ? [] : [tag])];
  const { PATH = '' } = process.env;
  const env = { LC_ALL: 'C', PATH: `/usr/bin:/bin:${PATH}` };
  // Nobody but Node would reap it there.
  if (adoptsOrphans)
    return guardBy('/bin/sh', ['-c', script, GUARDIAN_NAME, ...args], env, holding(PIPES, hold));
  const tagged = isTagged() ? 'tagged' : 'untagged';
  const launcher = ['-c', LAUNCH, 'agent-supervisor-launcher', tagged, script, ...args];
  return guardBy('/bin/sh', launcher, env, holding(LAUNCHED, hold));
}

/**
 * Runs the program that is the first line on its stdin, in JSON; what follows is for that program.
 * Nothing has to lie beside the bundle that way, and no command line is too long for Windows.
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

/** Starts the guardian as a process of this host's own runtime on a pipe, where there is no POSIX shell. */
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
      // Electron would show a window, and is Node with this.
      ELECTRON_RUN_AS_NODE: '1',
    };
    const command = ['-e', BOOT, GUARDIAN_NAME, ...args];
    guard = guardBy(process.execPath, command, env, holding(PIPES, hold));
    for (const line of [JSON.stringify(guardianProgram()), ...waiting]) guard.write(line);
    return guard;
  };
  const started = start();
  return {
    get pid() {
      return guard?.pid;
    },
    ready: started.then(({ ready }) => ready),
    write: (line) => (guard ? guard.write(line) : void waiting.push(line)),
    onExit: (listener) => void started.then(({ onExit }) => onExit(listener), listener),
    isStopped: () => guard?.isStopped?.() ?? false,
  };
}

function wholeMs({ politeMs, forcedMs }: Pick<GuardRequest, 'politeMs' | 'forcedMs'>): string[] {
  return [politeMs, forcedMs].map((ms) => String(Math.min(Math.ceil(ms), MAX_GRACE_MS)));
}

/** Whether this host was launched by a supervisor that tags. */
function isTagged(): boolean {
  try {
    const limits = readFileSync('/proc/self/limits', 'latin1');
    return /^Max (?:resident set|file locks|realtime timeout) +\d+ +\d{19} /m.test(limits);
  } catch {
    return false;
  }
}

/** One pipe for both directions: stdin and stdout end here together with the launcher. */
const LAUNCHED: StdioEntry[] = ['ignore', 'ignore', 'ignore', 'pipe'];
const PIPES: StdioEntry[] = ['pipe', 'pipe', 'ignore'];

type StdioEntry = 'ignore' | 'pipe' | number;

/** The number under which a guardian holds a descriptor of its host's: its script uses those below. */
const HELD = 5;

function holding(stdio: readonly StdioEntry[], fd: number | undefined): StdioOptions {
  if (fd === undefined) return [...stdio];
  const unused = Array<StdioEntry>(HELD - stdio.length).fill('ignore');
  return [...stdio, ...unused, fd];
}

/** `env` is all that the guardian inherits: no cookie, or it would find itself. */
function guardBy(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  stdio: StdioOptions,
): Guard {
  // Loaded at the first start, as everything is that only some hosts need.
  const { spawn } = builtin('node:child_process');
  const child = spawn(command, args, {
    // A session of its own: no signal to the host's terminal or group reaches it, nor does the end
    // of the job in which Windows keeps a host's other children.
    detached: true,
    windowsHide: true,
    cwd: '/',
    env,
    stdio,
  });
  // There are none where descriptors lack, only an error.
  const both = child.stdio?.[3] as Duplex | null | undefined;
  const orders: Writable | null = both ?? child.stdin;
  const life = lifeOf(child, both ?? child.stdout);
  // What is written to it after its death is lost and not missed.
  orders?.on('error', () => undefined);
  // It must keep no host alive, and its pipes must not either once it guards.
  child.unref();
  if (orders !== both) unref(orders);
  return {
    get pid() {
      return life.pid;
    },
    ready: life.ready,
    write: (line) => void orders?.write(`${line}\n`),
    onExit: life.onExit,
    isStopped: () => life.pid !== undefined && isStopped(life.pid),
  };
}

/**
 * Follows the guardian by the pipe that it speaks on, and holds as long as it lives: what was spawned
 * may be the launcher alone.
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
    // The next one is a child of ours from the start, so that it can be reaped.
    if (process.platform === 'linux' && life.pid !== child.pid)
      adoptsOrphans ||= readStat(life.pid)?.ppid === process.pid;
    // Until now a host that waits for it was kept alive.
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

/** Bun's streams may have no such method; they keep nothing alive there. */
function unref(stream: unknown): void {
  (stream as { unref?(): void } | null | undefined)?.unref?.();
}

/** Whether somebody has stopped it: then it would not notice this host's death. Linux only. */
function isStopped(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return /^[Tt]/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
}
