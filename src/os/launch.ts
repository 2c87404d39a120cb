import type { ChildProcess } from 'node:child_process';
import { statSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { builtin } from './builtin.ts';
import { setImmediate } from './clock.ts';
import type { Launched, LaunchFailure, LaunchRequest, Platform } from './os.ts';
import { OutputFileError, openOutputs } from './output-file.ts';
import { limitedLaunch, refusedByWrapper } from './rlimits.ts';
import { isProgram } from './windows.ts';

let execa: typeof import('execa').execa | undefined;
let loading: Promise<void> | undefined;
let loadingError: unknown;

/**
 * Loads execa, which costs more than the rest of this package's import; `undefined` once it is
 * loaded.
 *
 * It uses `import()`, since a `require` fails under tsx and in bundles that are one file. It never
 * rejects; a launch reports the error.
 */
export function loadLauncher(): Promise<void> | undefined {
  if (execa !== undefined) return undefined;
  loading ??= import('execa').then(
    (module) => {
      execa = module.execa;
    },
    (error: unknown) => {
      loadingError = error;
      loading = undefined;
    },
  );
  return loading;
}

/** True if this Bun drops empty arguments: Bun up to 1.2.2 does (measured). */
export function dropsEmptyArguments(bunVersion: string | undefined): boolean {
  if (bunVersion === undefined) return false;
  const [major = 0, minor = 0, patch = 0] = bunVersion
    .split('.')
    .map((part) => Number.parseInt(part, 10));
  return major < 1 || (major === 1 && (minor < 2 || (minor === 2 && patch <= 2)));
}

/**
 * Runs a command through a shell script that contains the empty arguments, where no runtime can
 * drop them. The other arguments are passed to the script.
 */
export function throughShell(
  command: string,
  args: readonly string[],
): { command: string; args: string[] } {
  const passed: string[] = [];
  const words = args.map((arg) => (arg === '' ? "''" : `"\${${passed.push(arg)}}"`));
  return { command: '/bin/sh', args: ['-c', `exec "$0" ${words.join(' ')}`, command, ...passed] };
}

/** Launches one process, with the output files of its request. */
export function launch(request: LaunchRequest, platform: Platform): Launched {
  try {
    const { close, ...outputs } = openOutputs(request);
    try {
      return launchLimited({ ...request, ...outputs }, platform);
    } finally {
      close();
    }
  } catch (error) {
    if (!(error instanceof OutputFileError)) throw error;
    const { message, cause } = error;
    return { failure: Promise.resolve({ code: 'SPAWN_FAILED', message, cause }) };
  }
}

/** Launches the process with its limits, where this system can set them. */
function launchLimited(request: LaunchRequest, platform: Platform): Launched {
  const dropsArguments = request.args.includes('') && dropsEmptyArguments(process.versions['bun']);
  if (dropsArguments && platform === 'win32') {
    const cause = new Error('this Bun loses empty arguments; use Bun 1.2.3 or later, or Node');
    return { failure: Promise.resolve(explain(request, cause)) };
  }
  if (platform === 'win32' && !isProgram(request)) {
    const cause = Object.assign(new Error('no such program'), { code: 'ENOENT' });
    return { failure: Promise.resolve(explain(request, cause)) };
  }
  const asCommandLine = ({ command, args }: Pick<LaunchRequest, 'command' | 'args'>) =>
    dropsArguments ? throughShell(command, args) : { command, args };
  const limited = limitedLaunch(request);
  if (limited !== undefined) {
    const launched = start({ ...request, ...asCommandLine(limited) }, request, platform);
    // If the start with limits fails, try without: the system's own refusal is the true one.
    if (launched.child !== undefined) return withoutWrapper(launched.child, request);
  }
  return start({ ...request, ...asCommandLine(request) }, request, platform);
}

/**
 * Runs an action with Node's own AbortController as the global one.
 *
 * The child would otherwise run without anybody holding it: execa uses the global after it has
 * started the child, and a DOM in a test runner (happy-dom, jsdom) replaces it by one that Node
 * refuses.
 */
function withNodesAbortController<T>(action: () => T): T {
  const host = globalThis;
  const { AbortController } = host;
  nodesAbortController ??= builtin('node:util').transferableAbortController?.()
    .constructor as typeof AbortController;
  if (nodesAbortController === undefined || nodesAbortController === AbortController)
    return action();
  host.AbortController = nodesAbortController;
  try {
    return action();
  } finally {
    host.AbortController = AbortController;
  }
}

let nodesAbortController: typeof AbortController | undefined;

/** Starts a command line through execa. */
function start(
  { command, args, cwd, env, outlivesHost, stdin, stdout, stderr }: LaunchRequest,
  request: LaunchRequest,
  platform: Platform,
): Launched {
  if (execa === undefined) {
    const cause = loadingError ?? new Error('loadLauncher() has not resolved');
    return { failure: Promise.resolve(explain(request, cause)) };
  }
  const defaultStream = outlivesHost ? 'ignore' : 'pipe';
  try {
    const launcher = execa;
    const options = {
      ...(cwd === undefined ? {} : { cwd }),
      env,
      extendEnv: false,
      // A group and session of its own makes the tree provable. On Windows it would open a console,
      // but a process that outlives its host needs it.
      detached: platform !== 'win32' || outlivesHost === true,
      stdin: stdin ?? defaultStream,
      // execa takes any open file, whatever its types say.
      stdout: (stdout ?? defaultStream) as 'pipe',
      stderr: (stderr ?? defaultStream) as 'pipe',
      buffer: false,
      reject: false,
      cleanup: false,
      forceKillAfterDelay: false,
      stripFinalNewline: false,
    } as const;
    const subprocess = withNodesAbortController(() => launcher(command, args, options));
    const child = subprocess.nodeChildProcess;
    if (outlivesHost) child.unref();
    if (child.stdout) keepUnread(child, child.stdout);
    if (child.pid !== undefined) return { child };
    return { failure: subprocess.then((result) => explain(request, result.cause)) };
  } catch (error) {
    return { failure: Promise.resolve(explain(request, error)) };
  }
}

/**
 * Leaves an output without a reader in its pipe, as `child_process` does while the child lives.
 * Otherwise execa would resume the stream in the next turn of the event loop, and Node at the exit.
 */
function keepUnread(child: ChildProcess, stdout: Readable): void {
  const inherited = Object.getPrototypeOf(stdout) as Readable;
  let isFirstTurn = true;
  // Both look here, and nobody else in that turn. (To delete it would make a slow, large object of each stream.)
  Object.defineProperty(stdout, 'readableFlowing', {
    get: () => !isFirstTurn && Reflect.get(inherited, 'readableFlowing', stdout),
    set: (flowing: unknown) => Reflect.set(inherited, 'readableFlowing', flowing, stdout),
    configurable: true,
  });
  setImmediate(() => {
    isFirstTurn = false;
  });
  Object.defineProperty(child, 'stdio', { value: [child.stdin, null, child.stderr] });
}

/** The child with the command of its request, since prlimit has become the program by now. */
function withoutWrapper(child: ChildProcess, request: LaunchRequest): Launched {
  const { command, args } = request;
  Object.assign(child, { spawnfile: command, spawnargs: [command, ...args] });
  return {
    child,
    unrun(code, stderr) {
      const cause = refusedByWrapper(command, code, stderr);
      return cause && explain(request, cause);
    },
  };
}

const ADVICE: ReadonlyMap<string, string> = new Map([
  ['EACCES', 'Make it an executable file (chmod +x).'],
  [
    'E2BIG',
    'An argument or the environment is too long (Linux takes 128 KB for each argument): pass it by stdin (input), or in a file.',
  ],
]);

/** `ls -la`, `node app.js` or `./app --port 1`, where no path with a blank in it was meant. */
function looksLikeCommandLine(command: string): boolean {
  return /^[^\s/\\]+\s+\S|^\S+\s+-/.test(command);
}

/** Finds out what an error of the system means; its own text confuses a missing folder with a missing program. */
function explain({ command, cwd }: LaunchRequest, cause: unknown): LaunchFailure {
  const { code, message } = cause as NodeJS.ErrnoException;
  // Node attaches the raw arguments to its error. They can be secrets, and loggers would print
  // them.
  Reflect.deleteProperty(cause as object, 'spawnargs');
  if (!isFolder(cwd)) {
    const [which, advice] =
      cwd === undefined
        ? ["The host's own folder", 'Pass a cwd, or let the host change to one that is there.']
        : [`cwd "${cwd}"`, 'Create it, or leave cwd out for the folder of the host.'];
    return { code: 'CWD_NOT_FOUND', message: `${which} is not a folder. ${advice}`, cause };
  }
  if (code === 'ENOENT') {
    const advice = looksLikeCommandLine(command)
      ? 'It looks like a whole command line: pass the program as command, and each argument as an item of args.'
      : 'Install it, correct PATH, or pass its absolute path; for a script, check its first line.';
    return {
      code: 'COMMAND_NOT_FOUND',
      message: `command "${command}" was not found. ${advice}`,
      cause,
    };
  }
  const advice = ADVICE.get(code ?? '');
  return {
    code: 'SPAWN_FAILED',
    message: `command "${command}" could not be started: ${message}.${advice ? ` ${advice}` : ''}`,
    cause,
  };
}

function isFolder(path?: string): boolean {
  try {
    return statSync(path ?? process.cwd()).isDirectory();
  } catch {
    return false;
  }
}
