import type * as z from 'zod/mini';
import type { RecoveryContext } from '../containment/context.ts';
import { findKept, type KeptFile } from '../containment/kept.ts';
import { holderOf } from '../containment/recovery.ts';
import { SupervisorError } from '../errors.ts';
import { COOKIE_VARIABLE, type ProcessEntry, type ProcessTable } from '../os/os.ts';
import type { Budget } from '../policy/budget.ts';
import { takeFile } from '../store/exclusive.ts';
import { marksInCookie } from '../tree/cookie.ts';
import { marksOf, marksOfProcess, type TreeMarks } from '../tree/marks.ts';
import { lineage } from '../tree/tree.ts';
import type { adoptOptions } from './adopt-options.ts';
import { disown } from './disown.ts';
import { ExitWatch } from './exit-watch.ts';
import type { SupervisedProcess } from './handle.ts';
import { ManagedProcess } from './managed-process.ts';
import type { CheckedRequest } from './request.ts';
import { finish } from './start.ts';
import type { Supervision } from './supervision.ts';

/** Interval between checks of an adopted process, in ms: no event reports its exit. */
const WATCH_MS = 1000;
const SLOT_WATCH_MS = 200;

/** Supervises a process that this host did not start, from now on. */
export async function adopt(
  s: Supervision,
  { pid, id, keepAlive, ...options }: z.output<typeof adoptOptions>,
  context: RecoveryContext,
): Promise<SupervisedProcess> {
  const target: AdoptionTarget = id === undefined ? { pid: pid ?? 0 } : { id };
  const guardian = s.registry().guardian.pid;
  const { table, entry, kept } = await findAdoptable(target, context, { live: s.live, guardian });
  const kind = options.kind ?? kept?.record.kind ?? 'adopted';
  const sessionId = options.sessionId ?? kept?.record.sessionId;
  const p = new ManagedProcess(s, s.nextId(), requestOf(entry.command, { kind, sessionId }));
  p.session = sessionId === undefined ? undefined : s.admission.sessions.enter(sessionId);
  p.session?.assertOpen();
  await supervise(s, p, { table, entry, kept, keepAlive }, context);
  return p.handle;
}

/**
 * Supervises a process that others have launched.
 *
 * @throws SupervisorError `NOT_ADOPTABLE` if another host does
 */
export async function supervise(
  s: Supervision,
  p: ManagedProcess,
  { table, entry, kept, keepAlive = true, budget }: Adopted,
  context: RecoveryContext,
): Promise<void> {
  const registry = s.registry();
  const { kind, sessionId } = p.subject;
  const { keys } = p.request;
  const record = {
    id: p.id,
    pid: entry.pid,
    startTime: entry.startTime,
    bootId: context.self.bootId,
    pidNamespace: context.self.pidNamespace,
    // A process cannot join an existing session: all members of a session that it leads are its own.
    group: entry.sid === entry.pid,
    kind,
    sessionId,
    command: entry.command,
    cwd: kept?.record.cwd ?? '',
    startedAt: s.os.startedAt?.(entry.startTime) ?? s.os.clock.now(),
    ...(keys === undefined ? {} : { keys }),
  };
  registry.add(record);
  try {
    if (kept === undefined) await refuseIfHeld(entry, context);
    // `stop` may have begun meanwhile; from here on nothing is awaited.
    s.registry();
    if (p.state === 'refused') throw notAdoptable(`pid ${entry.pid}`, 'its lease has ended');
    if (kept !== undefined) take(kept);
  } catch (error) {
    registry.remove(record);
    throw error;
  }
  // Others wait for its slot; but a snapshot each time would cost more than that.
  const everyMs = p.slot && s.os.processes.read ? SLOT_WATCH_MS : WATCH_MS;
  const watch = new ExitWatch(s.os, { ...record, keepAlive, everyMs }, () => {
    void finish(s, p, { code: null, signal: null, unseen: true, stderrTail: () => '' });
  });
  p.run({
    child: undefined,
    record,
    registry,
    ...(kept && { segment: kept.segment }),
    ...(budget && { budget }),
    onTreeGone: () => void watch.look(),
  });
  // Its output is not ours to read.
  p.slot?.started();
  p.disarm = () => watch.stop();
  p.disown = () => disown(s, p);
  s.live.set(p.id, p);
  // Finds its descendants now: after its exit their link to it may be lost.
  p.tree.membersIn(table);
  p.handle.attach({ pid: entry.pid, stdin: null, stdout: null, stderr: null });
  s.emit('adopted', { ...p.subject, pid: entry.pid });
}

/** Describes an adopted process as a request: it has no streams, and takes no slot. */
export function requestOf(
  command: string,
  fields: Pick<CheckedRequest, 'kind' | 'sessionId'> & Partial<CheckedRequest>,
): CheckedRequest {
  return {
    ...{ command, slot: false, priority: 0, outlivesHost: false, ...fields },
    ...{ stdin: 'ignore', stdout: 'ignore', stderr: 'ignore' },
    limits: { startupMs: null, idleMs: null, memoryBytes: null, lifetimeMs: null },
  };
}

/** A process to supervise from now on. */
interface Adopted extends Adoptable {
  /** @default true */
  readonly keepAlive?: boolean;
  readonly budget?: Budget;
}

/** The target of an adoption: any process by its pid, or one that lives on by its record's id. */
type AdoptionTarget = { readonly pid: number } | { readonly id: string };

/** A process that may be adopted, and its earlier record if there is one. */
export interface Adoptable {
  readonly table: ProcessTable;
  readonly entry: ProcessEntry;
  readonly kept: KeptFile | undefined;
}

/** The processes that this supervisor runs, and the pid of its guardian. */
interface OwnMarks {
  readonly live: Supervision['live'];
  readonly guardian: number | undefined;
  /** The marks of the launch that the process may be of. */
  readonly launch?: TreeMarks;
}

/**
 * Finds the process and proves that nobody else supervises it.
 *
 * @throws SupervisorError `NOT_ADOPTABLE` with the reason
 */
export async function findAdoptable(
  target: AdoptionTarget,
  context: RecoveryContext,
  own: OwnMarks,
): Promise<Adoptable> {
  const kept = 'id' in target ? await keptWith(target.id, context) : undefined;
  const pid = 'pid' in target ? target.pid : (kept?.record.pid ?? 0);
  const refuse = (reason: string): never => {
    throw notAdoptable('id' in target ? `"${target.id}" (pid ${pid})` : `pid ${pid}`, reason);
  };
  if (pid <= 1) refuse('it is no process of yours: 1 is the init process, 0 and below are groups');
  const { os, self } = context;
  const table = await os.processes.snapshot();
  if (lineage(table, self.pid).has(pid)) refuse('it is this host, or one of its ancestors');
  const entry = table.get(pid) ?? refuse('there is no such process');
  if (!entry.alive) refuse('it is dead already (a zombie)');
  if (kept !== undefined && entry.startTime !== kept.record.startTime) refuse('it has ended');
  if (!os.isOwnUsers(pid)) refuse("it is another user's");
  const ancestors = [...lineage(table, pid)];
  // Processes that a guardian has started serve the guardian.
  if (ancestors.some((ancestor) => ancestor === own.guardian || os.isGuardian?.(ancestor)))
    refuse('it is the guardian of a supervisor, which ends what its host leaves');
  const supervised = new Set(Array.from(own.live.values(), ({ record }) => record.pid));
  const tree = ancestors.find((ancestor) => supervised.has(ancestor));
  if (tree !== undefined) refuse(`it belongs to the tree of pid ${tree}, which is supervised here`);
  const host = table.get(self.pid);
  const allowed = [
    ...marksInCookie(os.environment()[COOKIE_VARIABLE]),
    ...(host === undefined ? [] : marksOfProcess(host)),
    ...(kept === undefined ? [] : Object.values(marksOf(kept.segment))),
    ...Object.values(own.launch ?? {}),
  ];
  const foreign = marksOfProcess(entry).find((mark) => !allowed.includes(mark));
  if (foreign !== undefined)
    refuse(`it bears the mark of another supervised process ("${foreign}")`);
  return { table, entry, kept };
}

/**
 * Refuses a process that another host supervises.
 *
 * Call it after the record is in this host's journal: of two hosts that adopt at once, at most one succeeds.
 */
async function refuseIfHeld(entry: ProcessEntry, context: RecoveryContext): Promise<void> {
  const holder = await holderOf(entry, context);
  if (holder === undefined) return;
  const reason = `supervisor ${holder} holds it, and is alive as far as can be told`;
  throw notAdoptable(`pid ${entry.pid}`, reason);
}

function take({ path, record }: KeptFile): void {
  try {
    takeFile(path);
  } catch (cause) {
    throw notAdoptable(`"${record.id}"`, 'another host has just adopted it', cause);
  }
}

async function keptWith(id: string, context: RecoveryContext): Promise<KeptFile> {
  const { kept } = await findKept({ ...context, dryRun: true });
  const found = kept.find(({ record }) => record.id === id);
  if (found === undefined)
    throw notAdoptable(`"${id}"`, `no process with this id lives on in ${context.stateDir}`);
  if (found.ownerIsAlive) throw notAdoptable(`"${id}"`, 'its own host is alive');
  return found;
}

export function notAdoptable(what: string, reason: string, cause?: unknown): SupervisorError {
  const advice = 'Adopt what you or an earlier host started; start() lists what lives on.';
  return new SupervisorError('NOT_ADOPTABLE', `adopt: ${what} was refused: ${reason}. ${advice}`, {
    cause,
    data: { reason },
  });
}
