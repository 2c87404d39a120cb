import * as z from 'zod/mini';
import { durationMs, parseInput } from '../check.ts';
import type { ProcessName, Supervisor } from '../index.ts';
import { systemClock } from '../os/clock.ts';
import type { Os, ProcessEntry } from '../os/os.ts';
import { systemOs } from '../os/system.ts';
import { type Opened, openedSupervisors } from '../supervisor/supervisor.ts';
import { parseCookie } from '../tree/cookie.ts';

/** A live process that a supervisor of this process has started, or a descendant of one. */
export interface LeakedProcess extends ProcessName {
  /** The kernel's start time: with the pid it tells this process from every later one. */
  readonly startTime: string;
  /** The record that it belongs to. */
  readonly id: string;
  readonly sessionId: string | undefined;
}

/** A request that waits for a slot. */
export interface QueuedRequest {
  readonly sessionId: string | undefined;
  readonly waitedMs: number;
}

/** What is left of what the supervisors of this process have started. */
export interface LeakReport {
  readonly leaked: readonly LeakedProcess[];
  readonly queued: readonly QueuedRequest[];
  /** Alive on purpose (`outlivesHost`, `leftovers: 'keep'`): no leak. */
  readonly kept: readonly LeakedProcess[];
}

export interface ExpectNoLeaksOptions {
  /** Whose processes. Default: of all supervisors that were opened in this process. */
  supervisor?: Supervisor | undefined;
  /** How long what is just ending may take, in ms. @default 2000 */
  graceMs?: number | undefined;
}

/** @internal */
export const supervisorGiven = () =>
  z.custom<Supervisor>(
    (value) => typeof value === 'object' && value !== null && 'foundation' in value,
    { error: 'must be a supervisor' },
  );

const expectation = z.prefault(
  z.strictObject({
    supervisor: z.optional(supervisorGiven()),
    graceMs: z._default(durationMs(), 2000),
  }),
  {},
);

const LOOK_EVERY_MS = 20;

/** Says that something was left behind: what, of whom, and how to end it. */
export class LeakError extends Error {
  override readonly name = 'LeakError';
  readonly report: LeakReport;

  constructor(report: LeakReport) {
    super(describeLeaks(report));
    this.report = report;
  }
}

/**
 * Fails if anything that this process's supervisors have started is still alive, or waits for a slot.
 *
 * Found by the cookie in its environment and by its tree, never by name; what outlives its host on
 * purpose is reported as `kept`.
 *
 * @throws LeakError that names each process
 *
 * @example
 * ```ts
 * afterEach(() => expectNoLeaks());
 * ```
 */
export async function expectNoLeaks(wish?: ExpectNoLeaksOptions): Promise<LeakReport> {
  const { supervisor, graceMs } = parseInput(expectation, wish, 'expectNoLeaks');
  const report = await findLeaks({ supervisor, graceMs });
  if (report.leaked.length > 0 || report.queued.length > 0) throw new LeakError(report);
  return report;
}

/** Looks until there is no leak, or the grace is over. */
export async function findLeaks({
  supervisor,
  graceMs,
  processesOnly = false,
}: {
  supervisor?: Supervisor | undefined;
  graceMs: number;
  /** Waits for no queue. */
  processesOnly?: boolean;
}): Promise<LeakReport> {
  const untilMs = systemClock.monotonicMs() + graceMs;
  for (;;) {
    const report = await look(supervisor);
    const isClean = report.leaked.length === 0 && (processesOnly || report.queued.length === 0);
    if (isClean || systemClock.monotonicMs() >= untilMs) return report;
    await pause(LOOK_EVERY_MS);
  }
}

/** SIGKILLs what was found, each process only while its pid still has its start time, until it is gone. */
export async function endLeaked(found: readonly LeakedProcess[], graceMs = 5000): Promise<void> {
  const { processes, signal } = systemOs();
  const untilMs = systemClock.monotonicMs() + graceMs;
  for (let left = found; left.length > 0 && systemClock.monotonicMs() < untilMs; ) {
    const table = await processes.look();
    // Proven once more in the moment of the signal, where the system shows one process by itself.
    const read = processes.read ?? ((pid: number) => table.get(pid));
    left = left.filter(({ pid, startTime }) => {
      const now = read(pid);
      const isThere = now?.alive === true && now.startTime === startTime;
      if (isThere) signal(pid, 'SIGKILL');
      return isThere;
    });
    if (left.length > 0) await pause(LOOK_EVERY_MS);
  }
}

export const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => void systemClock.after(ms, resolve, { keepAlive: true }));

async function look(supervisor: Supervisor | undefined): Promise<LeakReport> {
  const opened = [...openedSupervisors()].filter(
    ([, { supervisor: of }]) => supervisor === undefined || of.deref() === supervisor,
  );
  const alive = new Set(opened.flatMap(([, { supervisor: of }]) => of.deref() ?? []));
  const queued = [...alive].flatMap(waitingOf);
  if (opened.length === 0) return { leaked: [], queued, kept: [] };
  const systems = new Set<Os>([systemOs(), ...[...alive].map(({ foundation }) => foundation.os)]);
  const tables = await Promise.all([...systems].map(({ processes }) => processes.look()));
  const entries = new Map(tables.flatMap((table) => [...table]));
  const { leaked, kept } = sort([...entries.values()], new Map(opened));
  for (const one of alive) await addTrees(one, entries, kept, leaked);
  const sessionOf = (id: string): string | undefined =>
    [...alive].map(({ foundation }) => foundation.recordOf(id)?.sessionId).find(Boolean);
  const name = ([{ pid, command, startTime }, id]: [ProcessEntry, string]): LeakedProcess => ({
    ...{ pid, command, startTime, id },
    sessionId: sessionOf(id),
  });
  return { leaked: [...leaked].map(name), queued, kept: [...kept].map(name) };
}

/** Finds what carries our cookie, and the children of that: which of it is left, and which was kept. */
function sort(entries: readonly ProcessEntry[], opened: ReadonlyMap<string, Opened>) {
  const [leaked, kept] = [new Map<ProcessEntry, string>(), new Map<ProcessEntry, string>()];
  const byParent = Map.groupBy(entries, ({ ppid }) => ppid);
  const add = (to: Map<ProcessEntry, string>, entry: ProcessEntry, id: string): void => {
    if (to.has(entry) || !entry.alive) return;
    to.set(entry, id);
    for (const child of byParent.get(entry.pid) ?? [])
      if (child.cookie === undefined) add(to, child, id);
  };
  for (const entry of entries) {
    const segments = parseCookie(entry.cookie);
    const at = segments.findIndex(({ owner }) => opened.has(owner));
    const own = segments[at];
    if (own === undefined) continue;
    const isKept =
      segments.slice(at).some((segment) => segment.kept) || opened.get(own.owner)?.kept.has(own.id);
    add(isKept ? kept : leaked, entry, own.id);
  }
  return { leaked, kept };
}

/** Adds what only the tree of a live process tells: it may carry no cookie. */
async function addTrees(
  { foundation }: Supervisor,
  entries: ReadonlyMap<number, ProcessEntry>,
  kept: ReadonlyMap<ProcessEntry, string>,
  leaked: Map<ProcessEntry, string>,
): Promise<void> {
  for (const id of foundation.live.keys())
    for (const { pid } of await foundation.membersOf(id)) {
      const entry = entries.get(pid);
      if (entry !== undefined && !kept.has(entry)) leaked.set(entry, id);
    }
}

function waitingOf({ foundation }: Supervisor): QueuedRequest[] {
  const nowMs = foundation.os.clock.monotonicMs();
  return [...foundation.health().pool.waiting].map(({ request, sinceMs }) => ({
    sessionId: request.sessionId,
    waitedMs: Math.round(nowMs - sinceMs),
  }));
}

/** What was left, for who reads a failed test. */
export function describeLeaks(
  { leaked, queued, kept }: LeakReport,
  { areEnded = false } = {},
): string {
  const of = (sessionId: string | undefined): string =>
    sessionId === undefined ? '' : `, session "${sessionId}"`;
  const processLine = ({ pid, command, id, sessionId }: LeakedProcess): string =>
    `  pid ${pid} ${command}, of process ${id}${of(sessionId)}`;
  const lines = [
    `${leaked.length} live ${leaked.length === 1 ? 'process' : 'processes'} and ${queued.length} queued ${queued.length === 1 ? 'request' : 'requests'} were left behind:`,
    ...leaked.map(processLine),
    ...queued.map(({ sessionId, waitedMs }) => `  queued for ${waitedMs} ms${of(sessionId)}`),
    'End them before the test ends: await supervisor.stop(), process.terminate(), or dispose the supervisor (await using).',
  ];
  if (areEnded) lines.push('They have been ended now.');
  else if (leaked.length > 0)
    lines.push(`By hand: kill -KILL ${leaked.map(({ pid }) => pid).join(' ')}`);
  if (kept.length > 0) lines.push('Kept on purpose, and no leak:', ...kept.map(processLine));
  return lines.join('\n');
}
