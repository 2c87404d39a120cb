import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import * as z from 'zod/mini';
import { durationMs, parseInput } from '../check.ts';
import type { ProcessName } from '../index.ts';
import { sleep, systemClock } from '../os/clock.ts';
import { COOKIE_VARIABLE, type Os, type ProcessEntry, type Rlimits } from '../os/os.ts';
import { runtimePath } from '../os/runtime.ts';
import { systemOs } from '../os/system.ts';
import { LATE, within } from '../os/wait.ts';
import { cookieSegment, extendCookie } from '../tree/cookie.ts';
import { marksOf } from '../tree/marks.ts';
import { Tagging } from '../tree/tagging.ts';
import { ProcessTree } from '../tree/tracked-tree.ts';
import { signalName } from './signal-name.ts';

export interface KillHostOptions {
  args?: readonly string[] | undefined;
  /** Its whole environment. Default: that of this process. */
  env?: Readonly<Record<string, string | undefined>> | undefined;
  cwd?: string | undefined;
  /** The line on its stdout at which it is killed: how it begins, or a pattern. @default 'ready' */
  when?: string | RegExp | undefined;
  /** @default 'SIGKILL' */
  signal?: NodeJS.Signals | undefined;
  /** How long it may take to that line, in ms. @default 30_000 */
  readyMs?: number | undefined;
  /** How long what it leaves may live on, in ms; no longer than needed is waited. Default: 10_000, two seconds more than its guardian may take */
  graceMs?: number | undefined;
}

/** How a host died, and what became of what it had started. */
export interface HostDeath {
  readonly pid: number;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The lines of its stdout. */
  readonly lines: readonly string[];
  readonly stderr: string;
  /** All that was alive below it when it was killed. */
  readonly before: readonly ProcessName[];
  /** What of that, or started by it since, was still alive after the grace. It is ended now. */
  readonly after: readonly ProcessName[];
  /** From the host's death to that of the last process; the grace if there was none. */
  readonly tookMs: number;
}

const killHostOptions = z.prefault(
  z.strictObject({
    args: z._default(z.readonly(z.array(z.string())), []),
    env: z.optional(z.record(z.string(), z.optional(z.string()))),
    cwd: z.optional(z.string()),
    when: z._default(
      z.union([z.string(), z.instanceof(RegExp)], {
        error: 'must be how the line begins, or a pattern',
      }),
      'ready',
    ),
    signal: z._default(signalName(), 'SIGKILL'),
    readyMs: z._default(durationMs(), 30_000),
    graceMs: z._default(durationMs(), 10_000),
  }),
  {},
);

const hostScript = z.custom<string | URL>(
  (value) => (value instanceof URL ? value.protocol === 'file:' : typeof value === 'string'),
  { error: 'must be a path, or a file: URL' },
);

const LOOK_EVERY_MS = 20;
/** How long what is SIGKILLed may take to be gone. */
const END_MS = 5000;

/**
 * Runs a script as a host of its own, kills it once it is ready, and tells what it left.
 *
 * Everything below it is found by tree and cookie, whatever parent, group or session it has by then;
 * what outlives its host on purpose is not counted.
 *
 * @throws SupervisorError `INVALID_OPTIONS`; Error if it ends or is not ready in time, or does not die of the signal: with its stderr
 *
 * @example
 * ```ts
 * const { after } = await killHost('./host.js');
 * assert.deepEqual(after, []);
 * ```
 */
export async function killHost(
  script: string | URL,
  options?: KillHostOptions,
): Promise<HostDeath> {
  const wish = parseInput(killHostOptions, options, 'killHost');
  const os = systemOs();
  const owner = crypto.randomUUID();
  const path = parseInput(hostScript, script, 'killHost', 'script');
  const tagging = new Tagging(os.rlimits, owner);
  await Promise.all([tagging.ready, os.prepareLaunch?.()]);
  const host = launch(os, path, wish, { owner, rlimits: tagging.launch(0).rlimits });
  const { child, tree } = host;
  try {
    await host.ready;
    const before = await tree.look();
    os.signal(host.pid, wish.signal);
    const [code, signal] = await host.death();
    const beganMs = systemClock.monotonicMs();
    const after = await waitForDeath(tree, wish.graceMs);
    return {
      ...{ pid: host.pid, code, signal, lines: host.lines, stderr: host.stderr() },
      before: before.filter(({ pid }) => pid !== host.pid).map(nameOf),
      after: after.map(nameOf),
      tookMs: Math.round(systemClock.monotonicMs() - beganMs),
    };
  } finally {
    await tree.signal('SIGKILL', () => true);
    await waitForDeath(tree, END_MS);
    child.stdout?.destroy();
    child.stderr?.destroy();
  }
}

function launch(
  os: Os,
  script: string | URL,
  wish: z.output<typeof killHostOptions>,
  { owner, rlimits }: { owner: string; rlimits: Rlimits },
) {
  const { args, env = os.environment(), cwd, when, readyMs, signal, graceMs } = wish;
  const segment = { owner, id: 'host' };
  const path = script instanceof URL ? fileURLToPath(script) : resolve(cwd ?? '', script);
  const given = Object.entries(env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
  const { child } = os.launch({
    command: runtimePath(),
    args: [path, ...args],
    cwd,
    env: {
      ...Object.fromEntries(given),
      // Whatever it starts inherits this, as below any supervised host.
      [COOKIE_VARIABLE]: extendCookie(os.environment()[COOKIE_VARIABLE], segment),
    },
    rlimits,
  });
  if (child?.pid === undefined) throw new Error(`killHost: ${path} could not be started`);
  const { pid } = child;
  const root = {
    pid,
    startTime: os.processes.read?.(pid)?.startTime,
    leadsGroup: os.platform !== 'win32',
  };
  const tree = new ProcessTree(os, { ...root, held: true, ...marksOf(cookieSegment(segment)) });
  const lines: string[] = [];
  let stderr = '';
  child.stderr?.on('data', (chunk) => {
    stderr += chunk;
  });
  const exited = new Promise<[number | null, NodeJS.Signals | null]>((settle) => {
    child.once('exit', (code, signal) => {
      tree.letGo();
      settle([code, signal]);
    });
  });
  const isReady = (line: string): boolean =>
    typeof when === 'string' ? line.startsWith(when) : when.test(line);
  const failure = (what: string) => () => new Error(`killHost: ${path} ${what}. ${stderr}`);
  const { promise: said, resolve: settle, reject } = Promise.withResolvers<void>();
  if (child.stdout)
    createInterface({ input: child.stdout }).on('line', (line) => {
      lines.push(line);
      if (isReady(line)) settle();
    });
  void exited.then(() => reject(failure(`ended before it said "${when}"`)()));
  const ready = inTime(readyMs, said, failure(`has not said "${when}" within ${readyMs} ms`));
  const death = () =>
    inTime(graceMs, exited, failure(`has not died of ${signal} within ${graceMs} ms`));
  return { pid, child, tree, lines, ready, death, stderr: () => stderr };
}

async function inTime<T>(ms: number, work: Promise<T>, failure: () => Error): Promise<T> {
  const result = await within(ms, work, systemClock.running);
  if (result === LATE) throw failure();
  return result;
}

async function waitForDeath(tree: ProcessTree, graceMs: number): Promise<ProcessEntry[]> {
  const untilMs = systemClock.running.monotonicMs() + graceMs;
  for (;;) {
    const alive = await tree.look();
    if (alive.length === 0 || systemClock.running.monotonicMs() >= untilMs) return alive;
    await sleep(LOOK_EVERY_MS, systemClock);
  }
}

const nameOf = ({ pid, command }: ProcessEntry): ProcessName => ({ pid, command });
