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
  /** The host's whole environment. Default: that of this process. */
  env?: Readonly<Record<string, string | undefined>> | undefined;
  cwd?: string | undefined;
  /** The stdout line at which the host is killed: its beginning, or a pattern. @default 'ready' */
  when?: string | RegExp | undefined;
  /** @default 'SIGKILL' */
  signal?: NodeJS.Signals | undefined;
  /** Longest wait for that line, in ms. @default 30_000 */
  readyMs?: number | undefined;
  /**
   * Longest wait for the death of its processes, in ms. Default: 10_000, two seconds more than a guardian
   * takes at most
   */
  graceMs?: number | undefined;
}

/** The death of a host, and of the processes that it had started. */
export interface HostDeath {
  readonly pid: number;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The lines of its stdout. */
  readonly lines: readonly string[];
  readonly stderr: string;
  /** Its live descendants when it was killed. */
  readonly before: readonly ProcessName[];
  /** Descendants that were still alive after the grace, with those started later. They are ended now. */
  readonly after: readonly ProcessName[];
  /** Time from the host's death to that of the last process; about `graceMs` if some survived. */
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

const POLL_EVERY_MS = 20;
/** Longest wait for the death of processes after SIGKILL. */
const END_MS = 5000;

/**
 * Runs a script as a host, kills it once it is ready, and reports the processes that it left.
 *
 * Descendants are found by tree and cookie, even with another parent, group or session. Processes that
 * outlive their host on purpose are not counted.
 *
 * @throws SupervisorError `INVALID_OPTIONS`; Error, with the host's stderr, if it exits early, is not
 * ready in time, or survives the signal
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
  const checked = parseInput(killHostOptions, options, 'killHost');
  const os = systemOs();
  const owner = crypto.randomUUID();
  const path = parseInput(hostScript, script, 'killHost', 'script');
  const tagging = new Tagging(os.rlimits, owner);
  await Promise.all([tagging.ready, os.prepareLaunch?.()]);
  const host = launch(os, path, checked, { owner, rlimits: tagging.launch(0).rlimits });
  const { child, tree } = host;
  try {
    await host.ready;
    const before = await tree.liveMembers();
    os.signal(host.pid, checked.signal);
    const [code, signal] = await host.death();
    const beganMs = systemClock.monotonicMs();
    const after = await waitForDeath(tree, checked.graceMs);
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
  options: z.output<typeof killHostOptions>,
  { owner, rlimits }: { owner: string; rlimits: Rlimits },
) {
  const { args, env = os.environment(), cwd, when, readyMs, signal, graceMs } = options;
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
      // Its descendants inherit the cookie, as below any supervised host.
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
    const alive = await tree.liveMembers();
    if (alive.length === 0 || systemClock.running.monotonicMs() >= untilMs) return alive;
    await sleep(POLL_EVERY_MS, systemClock);
  }
}

const nameOf = ({ pid, command }: ProcessEntry): ProcessName => ({ pid, command });
