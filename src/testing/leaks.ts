import * as z from 'zod/mini';
import { durationMs, parseInput } from '../check.ts';
import type { ProcessName, Supervisor } from '../index.ts';
import { sleep, systemClock } from '../os/clock.ts';
import type { Os, ProcessEntry } from '../os/os.ts';
import { systemOs } from '../os/system.ts';
import { type Opened, type OpenedSupervisor, openedSupervisors } from '../supervisor/internals.ts';
import { parseCookie } from '../tree/cookie.ts';

/** A live process started by a supervisor of this process, or a descendant of one. */
export interface LeakedProcess extends ProcessName {
  /** The kernel's start time, which identifies the process together with its pid. */
  readonly startTime: string;
  /** The id of the record that it belongs to. */
  readonly id: string;
  readonly sessionId: string | undefined;
}

/** A request that waits for a slot. */
export interface QueuedRequest {
  readonly sessionId: string | undefined;
  readonly waitedMs: number;
}

/** Processes and requests that the supervisors of this process have left. */
export interface LeakReport {
  readonly leaked: readonly LeakedProcess[];
  readonly queued: readonly QueuedRequest[];
  /** Processes that live on by intention (`outlivesHost`, `leftovers: 'keep'`), which are no leaks. */
  readonly kept: readonly LeakedProcess[];
}

export interface ExpectNoLeaksOptions {
  /** The supervisor to check. Default: all that were opened in this process. */
  supervisor?: Supervisor | undefined;
  /** Longest wait for processes that are just ending, in ms. @default 2000 */
  graceMs?: number | undefined;
}

/** @internal */
export const supervisorGiven = () =>
  z.custom<Supervisor>(
    (value) => typeof value === 'object' && value !== null && 'internals' in value,
    { error: 'must be a supervisor' },
  );

const expectNoLeaksOptions = z.prefault(
  z.strictObject({
    supervisor: z.optional(supervisorGiven()),
    graceMs: z._default(durationMs(), 2000),
  }),
  {},
);

const POLL_EVERY_MS = 20;

/** An error that names each leaked process and waiting request, and says how to end them. */
export class LeakError extends Error {
  override readonly name = 'LeakError';
  readonly report: LeakReport;

  constructor(report: LeakReport) {
    super(describeLeaks(report));
    this.report = report;
  }
}

/**
 * Throws if a process of this process's supervisors is still alive, or a request waits for a slot.
 *
 * Processes are found by the cookie in their environment and by their tree, never by name. Those that
 * outlive their host on purpose are reported as `kept`.
 *
 * @throws LeakError that names each process
 *
 * @example
 * ```ts
 * afterEach(() => expectNoLeaks());
 * ```
 */
export async function expectNoLeaks(options?: ExpectNoLeaksOptions): Promise<LeakReport> {
  const { supervisor, graceMs } = parseInput(expectNoLeaksOptions, options, 'expectNoLeaks');
  const report = await findLeaks({ supervisor, graceMs });
  if (report.leaked.length > 0 || report.queued.length > 0) throw new LeakError(report);
  return report;
}

/** Polls until there is no leak, or `graceMs` is over. */
export async function findLeaks({
  supervisor,
  graceMs,
  processesOnly = false,
}: {
  supervisor?: Supervisor | undefined;
  graceMs: number;
  /** Ignores waiting requests. */
  processesOnly?: boolean;
}): Promise<LeakReport> {
  const untilMs = systemClock.monotonicMs() + graceMs;
  for (;;) {
    const report = await leakReport(supervisor);
    const isClean = report.leaked.length === 0 && (processesOnly || report.queued.length === 0);
    if (isClean || systemClock.monotonicMs() >= untilMs) return report;
    await sleep(POLL_EVERY_MS, systemClock);
  }
}

/** Sends SIGKILL to leaked processes until they are dead, each time with a check of the start time. */
export async function endLeaked(found: readonly LeakedProcess[], graceMs = 5000): Promise<void> {
  const { processes, signal } = systemOs();
  const untilMs = systemClock.monotonicMs() + graceMs;
  for (let left = found; left.length > 0 && systemClock.monotonicMs() < untilMs; ) {
    const table = await processes.snapshot();
    // Proven once more in the moment of the signal, where the system shows one process by itself.
    const read = processes.read ?? ((pid: number) => table.get(pid));
    left = left.filter(({ pid, startTime }) => {
      const now = read(pid);
      const isThere = now?.alive === true && now.startTime === startTime;
      if (isThere) signal(pid, 'SIGKILL');
      return isThere;
    });
    if (left.length > 0) await sleep(POLL_EVERY_MS, systemClock);
  }
}

async function leakReport(supervisor: Supervisor | undefined): Promise<LeakReport> {
  const opened = [...openedSupervisors()].filter(
    ([, { supervisor: of }]) => supervisor === undefined || of.deref() === supervisor,
  );
  const alive = new Set(opened.flatMap(([, { supervisor: of }]) => of.deref() ?? []));
  const queued = [...alive].flatMap(waitingOf);
  if (opened.length === 0) return { leaked: [], queued, kept: [] };
  const systems = new Set<Os>([systemOs(), ...[...alive].map(({ internals }) => internals.os)]);
  const tables = await Promise.all([...systems].map(({ processes }) => processes.snapshot()));
  const entries = new Map(tables.flatMap((table) => [...table]));
  const { leaked, kept } = sortByCookie([...entries.values()], new Map(opened));
  for (const one of alive) await addTrees(one, entries, kept, leaked);
  const sessionOf = (id: string): string | undefined =>
    [...alive].map(({ internals }) => internals.recordOf(id)?.sessionId).find(Boolean);
  const name = ([{ pid, command, startTime }, id]: [ProcessEntry, string]): LeakedProcess => ({
    ...{ pid, command, startTime, id },
    sessionId: sessionOf(id),
  });
  return { leaked: [...leaked].map(name), queued, kept: [...kept].map(name) };
}

/** Finds processes with a cookie of these supervisors, and their children; splits off the kept ones. */
function sortByCookie(entries: readonly ProcessEntry[], opened: ReadonlyMap<string, Opened>) {
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

/** Adds members of live trees, which may have lost their cookie. */
async function addTrees(
  { internals }: OpenedSupervisor,
  entries: ReadonlyMap<number, ProcessEntry>,
  kept: ReadonlyMap<ProcessEntry, string>,
  leaked: Map<ProcessEntry, string>,
): Promise<void> {
  for (const id of internals.live.keys())
    for (const { pid } of await internals.membersOf(id)) {
      const entry = entries.get(pid);
      if (entry !== undefined && !kept.has(entry)) leaked.set(entry, id);
    }
}

function waitingOf({ internals }: OpenedSupervisor): QueuedRequest[] {
  const nowMs = internals.os.clock.monotonicMs();
  return [...internals.snapshot().pool.waiting].map(({ request, sinceMs }) => ({
    sessionId: request.sessionId,
    waitedMs: Math.round(nowMs - sinceMs),
  }));
}

/** Formats the leaks for the message of a failed test. */
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
