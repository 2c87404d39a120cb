import * as z from 'zod/mini';
import { durationMs, parseInput } from '../check.ts';
import { runtimePath } from '../os/runtime.ts';
import { signalName } from './signal-name.ts';

/** A program to start: goes into `supervisor.spawn`, or into any other way of starting one. */
export interface Program {
  readonly command: string;
  readonly args: string[];
}

export interface MisbehaveOptions {
  /** When it ends by itself, whatever becomes of it, in ms. @default 60_000 */
  liveMs?: number | undefined;
}

/** How much of it. */
export interface AmountOptions extends MisbehaveOptions {
  /** In bytes. */
  bytes?: number | undefined;
}

const DEFAULT_LIVE_MS = 60_000;
const options = z.prefault(
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
/** A script of this runtime's, and what all of them need: its bound, `ready`, and children like it. */
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

function bounded(name: string, wish: MisbehaveOptions | undefined, ...lines: readonly string[]) {
  return script(parseInput(options, wish, `misbehave.${name}`).liveMs, ...lines);
}

function measured(
  name: string,
  wish: AmountOptions | undefined,
  defaultBytes: number,
  code: (bytes: number) => string,
): Program {
  const { liveMs, bytes } = parseInput(
    z.prefault(amount(defaultBytes), {}),
    wish,
    `misbehave.${name}`,
  );
  return script(liveMs, code(bytes));
}

/**
 * Small real programs, one for each way to misbehave.
 *
 * Each prints `ready <pid>` when it has begun, with the pid of the process that misbehaves (its own, or
 * that of the descendant which stays behind), and ends by itself after `liveMs`. On Windows signals
 * end any process, and `zombie` needs a POSIX shell.
 *
 * @throws SupervisorError `INVALID_OPTIONS`
 *
 * @example
 * ```ts
 * const process = supervisor.spawn(misbehave.ignoresSigterm());
 * ```
 */
export const misbehave = {
  /** Lives on at SIGTERM, SIGINT, SIGHUP and at the end of its stdin: only SIGKILL ends it. */
  ignoresSigterm: (wish?: MisbehaveOptions): Program =>
    bounded(
      'ignoresSigterm',
      wish,
      "for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => {});",
      'ready();',
    ),
  /** Lives on at the end of its stdin; SIGTERM ends it. */
  ignoresEof: (wish?: MisbehaveOptions): Program =>
    bounded('ignoresEof', wish, "process.stdin.resume().on('end', () => {});", 'ready();'),
  /** Exits with 0 and leaves a child in a session of its own. */
  leavesSetsidChild: (wish?: MisbehaveOptions): Program =>
    bounded(
      'leavesSetsidChild',
      wish,
      'const left = child(LIVE, { detached: true });',
      "left.once('spawn', () => { ready(left.pid); left.unref(); process.exitCode = 0; process.stdout.write('', () => process.exit()); });",
    ),
  /** Exits with 0 and leaves a grandchild, in a session of its own, whose parent is dead. */
  doubleForks: (wish?: MisbehaveOptions): Program =>
    bounded(
      'doubleForks',
      wish,
      'const daemon = \'const left = spawn(process.execPath, ["-e", \' + JSON.stringify(LIVE) + \'], { stdio: "ignore", detached: true }); left.once("spawn", () => { console.log(left.pid); left.unref(); });\';',
      "const middle = child('const { spawn } = require(\"node:child_process\");' + daemon, { stdio: ['ignore', 'pipe', 'ignore'] });",
      "let pid = '';",
      "middle.stdout.on('data', (text) => { pid += text; });",
      "middle.once('close', () => { ready(pid.trim()); process.stdout.write('', () => process.exit(0)); });",
    ),
  /** At SIGTERM starts a child in a session of its own, prints `forked <pid>`, and exits. */
  forksWhileDying: (wish?: MisbehaveOptions): Program =>
    bounded(
      'forksWhileDying',
      wish,
      "process.on('SIGTERM', () => {",
      '  const left = child(LIVE, { detached: true });',
      "  left.once('spawn', () => process.stdout.write('forked ' + left.pid + '\\n', () => process.exit(0)));",
      '});',
      'ready();',
    ),
  /** Exits with 0 and leaves a child that holds its stdout, which so never ends. */
  holdsStdout: (wish?: MisbehaveOptions): Program =>
    bounded(
      'holdsStdout',
      wish,
      "const left = child(LIVE, { stdio: ['ignore', 'inherit', 'ignore'] });",
      "left.once('spawn', () => { ready(left.pid); process.stdout.write('', () => process.exit(0)); });",
    ),
  /** Writes `bytes` to stderr, as fast as they are read, and lives on. @param wish `bytes`: default 8 MiB */
  floodsStderr: (wish?: AmountOptions): Program =>
    measured(
      'floodsStderr',
      wish,
      8 * 2 ** 20,
      (bytes) => `let left = ${bytes};
const line = 'noise '.repeat(170) + '\\n';
const flood = () => { while (left > 0) { const part = line.slice(0, left); left -= part.length; if (!process.stderr.write(part)) return process.stderr.once('drain', flood); } };
ready(); flood();`,
    ),
  /** Runs and never says a word: the one that prints nothing. */
  neverReady: (wish?: MisbehaveOptions): Program => bounded('neverReady', wish),
  /** Takes `bytes` of memory and keeps them. @param wish `bytes`: default 256 MiB */
  eatsMemory: (wish?: AmountOptions): Program =>
    measured(
      'eatsMemory',
      wish,
      256 * 2 ** 20,
      (bytes) => `const hoard = Buffer.alloc(${bytes}, 1);
process.on('exit', () => hoard.length);
ready();`,
    ),
  /** Keeps one core busy. */
  spins: (wish?: MisbehaveOptions): Program => {
    const { liveMs } = parseInput(options, wish, 'misbehave.spins');
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
  /** Dies by a signal that it sends itself. */
  diesBy: (signal: NodeJS.Signals): Program => {
    const checked = parseInput(signalName(), signal, 'misbehave.diesBy', 'signal');
    return script(
      DEFAULT_LIVE_MS,
      'ready();',
      `process.stdout.write('', () => process.kill(process.pid, '${checked}'));`,
    );
  },
  /** Lives on with a child that it never reaps, whose pid it prints; that dies a second later. */
  zombie: (wish?: MisbehaveOptions): Program => {
    const { liveMs } = parseInput(options, wish, 'misbehave.zombie');
    const seconds = 1 + Math.ceil(liveMs / 1000);
    // Of what exec makes of the shell nobody knows that there is a child to wait for; the shell itself
    // would reap one that died before.
    return { command: 'sh', args: ['-c', `sleep 1 & echo "ready $!"; exec sleep ${seconds}`] };
  },
} as const;
