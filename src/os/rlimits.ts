import type { ChildProcess } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { builtin } from './builtin.ts';
import type { LaunchRequest, RlimitSystem, Rlimits, TagLimit } from './os.ts';
import { parseLimits } from './parse.ts';
import { canExecute } from './program.ts';

/** Time limit of the probe, which runs `cat` once. */
const PROBE_MS = 5000;

/** The names of setrlimit(2) in prlimit(1). */
const PRLIMIT_OPTIONS: Readonly<Record<TagLimit, string>> = {
  locks: '--locks',
  rss: '--rss',
  rttime: '--rttime',
};

/** dash calls the limit on locks `-w`, all other shells `-x`. A shell's other limits have units. */
const ULIMIT = 'ulimit -x "$0" 2>/dev/null || ulimit -w "$0" 2>/dev/null; exec "$@"';
const SHELL = '/bin/sh';
/** Shells drop a variable with any other name. */
const IDENTIFIER = /^[A-Za-z_]\w*$/;

/** A command line and its environment. */
type Command = Pick<LaunchRequest, 'command' | 'args' | 'env'>;

let prlimit: string | null | undefined;

/** Finds util-linux's prlimit(1) once; `null` where there is none (busybox). */
function findPrlimit(): string | null {
  const folders = ['/usr/bin', '/bin', ...(process.env['PATH'] ?? '').split(delimiter)];
  prlimit ??=
    folders.map((folder) => join(folder, 'prlimit')).find((path) => isExecutable(path)) ?? null;
  return prlimit;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Wraps a command line so that it sets limits and then becomes the command; `undefined` if it
 * cannot.
 */
function withRlimits(rlimits: Rlimits, { command, args, env }: Command) {
  const [program, ...prefix] = prefixFor(rlimits, env);
  return program === undefined
    ? undefined
    : { command: program, args: [...prefix, command, ...args] };
}

/** The words before a command line that set its limits; none where that is not possible. */
function prefixFor(rlimits: Rlimits, env: Command['env']): readonly string[] {
  const entries = Object.entries(rlimits) as [TagLimit, string][];
  const program = findPrlimit();
  if (program !== null) {
    const options = entries.map(([limit, value]) => `${PRLIMIT_OPTIONS[limit]}=${value}:${value}`);
    return [program, ...options, '--'];
  }
  const [[limit, value] = [], ...others] = entries;
  const isShellsOwn = limit === 'locks' && others.length === 0;
  if (
    value === undefined ||
    !isShellsOwn ||
    !Object.keys(env).every((name) => IDENTIFIER.test(name))
  )
    return [];
  return [SHELL, '-c', ULIMIT, value];
}

/**
 * The command line that launches a request with its limits.
 *
 * `undefined` for a program that the system may refuse. Launched without a wrapper, it gives the
 * well-known error of the system instead of an exit code of the wrapper.
 */
export function limitedLaunch(
  request: LaunchRequest,
): Pick<LaunchRequest, 'command' | 'args'> | undefined {
  const { rlimits = {} } = request;
  if (Object.keys(rlimits).length === 0 || !isAllowed(rlimits) || !canExecute(request))
    return undefined;
  return withRlimits(rlimits, request);
}

/** Exit codes of prlimit and shells when the system refuses the program, and their message. */
const REFUSED_CODES: readonly (number | null)[] = [126, 127];
const REFUSAL = /^(?:prlimit|\/bin\/sh|sh)(?:: line)?(?:: \d+)?: .*: [^:]+\n?$/;

/**
 * The system's error if it refused the program at its execve(2); `undefined` otherwise.
 *
 * Of the causes that {@link canExecute} cannot see only ETXTBSY is common: another process has the
 * program open for writing.
 */
export function refusedByWrapper(
  command: string,
  code: number | null,
  stderr: string,
): NodeJS.ErrnoException | undefined {
  if (!REFUSED_CODES.includes(code) || !REFUSAL.test(stderr) || !stderr.includes(command))
    return undefined;
  const syscall = 'spawn';
  return Object.assign(new Error(`${syscall} ETXTBSY`), { errno: -26, code: 'ETXTBSY', syscall });
}

/**
 * True unless somebody has lowered the host's own limits meanwhile: then prlimit would not run the
 * program.
 */
function isAllowed(rlimits: Rlimits): boolean {
  const own = ownRlimits();
  return Object.entries(rlimits).every(([limit, value]) => {
    const hard = own[limit as TagLimit];
    return hard === 'unlimited' || (hard !== undefined && BigInt(value) <= BigInt(hard));
  });
}

function ownRlimits(): Rlimits {
  return rlimitsOf('self');
}

function rlimitsOf(process: number | 'self'): Rlimits {
  try {
    return parseLimits(readFileSync(`/proc/${process}/limits`, 'latin1'));
  } catch {
    return {};
  }
}

/** The system's resource limits; each is probed at most once per host. */
export function linuxRlimits(): RlimitSystem {
  const probes = new Map<TagLimit, Promise<string | undefined>>();
  return {
    own: ownRlimits,
    of: rlimitsOf,
    lower: lowerRlimits,
    prefix(rlimits, env) {
      const hasNone = Object.keys(rlimits).length === 0 || !isAllowed(rlimits);
      return hasNone ? [] : prefixFor(rlimits, env);
    },
    probe(limit, value) {
      const probe = probes.get(limit) ?? probeLimit(limit, value);
      probes.set(limit, probe);
      return probe;
    },
  };
}

/** Without prlimit they stay: a shell can lower only its own. */
async function lowerRlimits(pid: number, rlimits: Rlimits): Promise<void> {
  const program = findPrlimit();
  const options = Object.entries(rlimits).map(
    ([limit, value]) => `${PRLIMIT_OPTIONS[limit as TagLimit]}=${value}:${value}`,
  );
  if (program === null || options.length === 0) return;
  await outputOf(program, ['--pid', String(pid), ...options], { LC_ALL: 'C' });
}

/** Sets a limit and reads it back: a 32-bit kernel accepts the number and keeps another one. */
async function probeLimit(limit: TagLimit, value: string): Promise<string | undefined> {
  const env = { LC_ALL: 'C', PATH: `/usr/bin:/bin:${process.env['PATH'] ?? ''}` };
  const cat = { command: 'cat', args: ['/proc/self/limits'], env };
  const command = withRlimits({ [limit]: value }, cat);
  if (command === undefined) return 'there is no prlimit (util-linux)';
  const output = await outputOf(command.command, command.args, env);
  if (output === undefined) return `${command.command} could not be run`;
  const read = parseLimits(output)[limit];
  return read === value ? undefined : `${limit} was set to ${value} and reads ${read ?? 'nothing'}`;
}

/** Runs a program and returns its stdout; `undefined` if it cannot be started or takes too long. */
function outputOf(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<string | undefined> {
  const { spawn } = builtin('node:child_process');
  return new Promise((resolve) => {
    const child: ChildProcess = spawn(command, args, {
      env,
      cwd: '/',
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: PROBE_MS,
    });
    let output = '';
    child.stdout?.setEncoding('latin1').on('data', (text: string) => {
      output += text;
    });
    child.once('error', () => resolve(undefined)).once('close', () => resolve(output));
  });
}
