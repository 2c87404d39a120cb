import * as z from 'zod/mini';
import { durationMs, parseInput } from '../check.ts';
import { runtimePath } from '../os/runtime.ts';
import { signalName } from './signal-name.ts';

/** A command to pass to `supervisor.spawn`, or to any other way to start a process. */
export interface Program {
  readonly command: string;
  readonly args: string[];
}

export interface MisbehaveOptions {
  /** Time after which it exits by itself in any case, in ms. @default 60_000 */
  liveMs?: number | undefined;
}

/** Options of a program that uses an amount of something. */
export interface AmountOptions extends MisbehaveOptions {
  /** The amount, in bytes. */
  bytes?: number | undefined;
}

const DEFAULT_LIVE_MS = 60_000;
const misbehaveOptions = z.prefault(
  z.strictObject({
    liveMs: z._default(durationMs().check(z.maximum(2 ** 31 - 1)), DEFAULT_LIVE_MS),
  }),
  {},
);
const amount = (bytes: number) =>
  z.strictObject({
    liveMs: z._default(durationMs().check(z.maximum(2 ** 31 - 1)), DEFAULT_LIVE_MS),
    bytes: z._default(z.int().check(z.minimum(1)), bytes),
  });
const exitCode = z.int().check(z.minimum(0), z.maximum(255));
/** Makes a script for this runtime, with its time limit and with functions for `ready` and for children. */
function script(liveMs: number, ...lines: readonly string[]): Program {
  const prelude = [
    "const { spawn } = require('node:child_process');",
    'const live = (ms) => void setTimeout(() => process.exit(0), ms);',
    `live(${liveMs});`,
    "const ready = (pid = process.pid) => console.log('ready ' + pid);",
    `const child = (code, options) => spawn(process.execPath, ['-e', code], { stdio: 'ignore', ...options });`,
    `const LIVE = 'setTimeout(() => {}, ${liveMs})';`,
  ];
  return { command: runtimePath(), args: ['-e', [...prelude, ...lines].join('\n')] };
}

function bounded(name: string, options: MisbehaveOptions | undefined, ...lines: readonly string[]) {
  return script(parseInput(misbehaveOptions, options, `misbehave.${name}`).liveMs, ...lines);
}

function measured(
  name: string,
  options: AmountOptions | undefined,
  defaultBytes: number,
  code: (bytes: number) => string,
): Program {
  const { liveMs, bytes } = parseInput(
    z.prefault(amount(defaultBytes), {}),
    options,
    `misbehave.${name}`,
  );
  return script(liveMs, code(bytes));
}

/**
 * Small real programs, one for each way to misbehave.
 *
 * Each prints `ready <pid>` when it misbehaves, with its own pid or that of the descendant that stays
 * behind. Each exits by itself after `liveMs`. On Windows any signal ends any process, and `zombie` needs
 * a POSIX shell.
 *
 * @throws SupervisorError `INVALID_OPTIONS`
 *
 * @example
 * ```ts
 * const process = supervisor.spawn(misbehave.ignoresSigterm());
 * ```
 */
export const misbehave = {
  /** Ignores SIGTERM, SIGINT, SIGHUP and the end of its stdin; only SIGKILL ends it. */
  ignoresSigterm: (options?: MisbehaveOptions): Program =>
    bounded(
      'ignoresSigterm',
      options,
      "for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => {});",
      'ready();',
    ),
  /** Ignores the end of its stdin; SIGTERM ends it. */
  ignoresEof: (options?: MisbehaveOptions): Program =>
    bounded('ignoresEof', options, "process.stdin.resume().on('end', () => {});", 'ready();'),
  /** Exits with 0, and leaves a child in a session of its own. */
  leavesSetsidChild: (options?: MisbehaveOptions): Program =>
    bounded(
      'leavesSetsidChild',
      options,
      'const left = child(LIVE, { detached: true });',
      "left.once('spawn', () => { ready(left.pid); left.unref(); process.exitCode = 0; process.stdout.write('', () => process.exit()); });",
    ),
  /** Exits with 0, and leaves a grandchild in a session of its own whose parent is dead. */
  doubleForks: (options?: MisbehaveOptions): Program =>
    bounded(
      'doubleForks',
      options,
      'const daemon = \'const left = spawn(process.execPath, ["-e", \' + JSON.stringify(LIVE) + \'], { stdio: "ignore", detached: true }); left.once("spawn", () => { console.log(left.pid); left.unref(); });\';',
      "const middle = child('const { spawn } = require(\"node:child_process\");' + daemon, { stdio: ['ignore', 'pipe', 'ignore'] });",
      "let pid = '';",
      "middle.stdout.on('data', (text) => { pid += text; });",
      "middle.once('close', () => { ready(pid.trim()); process.stdout.write('', () => process.exit(0)); });",
    ),
  /** Starts a child in a session of its own at SIGTERM, prints `forked <pid>`, and exits. */
  forksWhileDying: (options?: MisbehaveOptions): Program =>
    bounded(
      'forksWhileDying',
      options,
      "process.on('SIGTERM', () => {",
      '  const left = child(LIVE, { detached: true });',
      "  left.once('spawn', () => process.stdout.write('forked ' + left.pid + '\\n', () => process.exit(0)));",
      '});',
      'ready();',
    ),
  /** Exits with 0, and leaves a child that holds its stdout open. */
  holdsStdout: (options?: MisbehaveOptions): Program =>
    bounded(
      'holdsStdout',
      options,
      "const left = child(LIVE, { stdio: ['ignore', 'inherit', 'ignore'] });",
      "left.once('spawn', () => { ready(left.pid); process.stdout.write('', () => process.exit(0)); });",
    ),
  /** Writes `bytes` to stderr as fast as they are read, and lives on. @param options `bytes`: default 8 MiB */
  floodsStderr: (options?: AmountOptions): Program =>
    measured(
      'floodsStderr',
      options,
      8 * 2 ** 20,
      (bytes) => `let left = ${bytes};
const line = 'noise '.repeat(170) + '\\n';
const flood = () => { while (left > 0) { const part = line.slice(0, left); left -= part.length; if (!process.stderr.write(part)) return process.stderr.once('drain', flood); } };
ready(); flood();`,
    ),
  /** Runs without any output; the only one that does not print `ready`. */
  neverReady: (options?: MisbehaveOptions): Program => bounded('neverReady', options),
  /** Takes `bytes` of memory and keeps them. @param options `bytes`: default 256 MiB */
  eatsMemory: (options?: AmountOptions): Program =>
    measured(
      'eatsMemory',
      options,
      256 * 2 ** 20,
      (bytes) => `const hoard = Buffer.alloc(${bytes}, 1);
process.on('exit', () => hoard.length);
ready();`,
    ),
  /** Keeps one core busy. */
  spins: (options?: MisbehaveOptions): Program => {
    const { liveMs } = parseInput(misbehaveOptions, options, 'misbehave.spins');
    return script(
      liveMs,
      `const untilMs = performance.now() + ${liveMs};`,
      "process.stdout.write('ready ' + process.pid + '\\n', () => { while (performance.now() < untilMs); process.exit(0); });",
    );
  },
  /** Exits with a code from 0 to 255. */
  exitsWith: (code: number): Program => {
    const checked = parseInput(exitCode, code, 'misbehave.exitsWith', 'code');
    return script(
      DEFAULT_LIVE_MS,
      'ready();',
      `process.stdout.write('', () => process.exit(${checked}));`,
    );
  },
  /** Sends itself a signal, and dies by it. */
  diesBy: (signal: NodeJS.Signals): Program => {
    const checked = parseInput(signalName(), signal, 'misbehave.diesBy', 'signal');
    return script(
      DEFAULT_LIVE_MS,
      'ready();',
      `process.stdout.write('', () => process.kill(process.pid, '${checked}'));`,
    );
  },
  /** Prints the pid of a child that it never reaps, and that exits a second later. */
  zombie: (options?: MisbehaveOptions): Program => {
    const { liveMs } = parseInput(misbehaveOptions, options, 'misbehave.zombie');
    const seconds = 1 + Math.ceil(liveMs / 1000);
    // The program that exec puts in the shell's place does not wait for a child. The child exits only
    // later, since the shell itself would reap it.
    return { command: 'sh', args: ['-c', `sleep 1 & echo "ready $!"; exec sleep ${seconds}`] };
  },
} as const;
