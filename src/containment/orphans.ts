import type { Os, ProcessTable } from '../os/os.ts';
import type { ExitReport, Orphan, Survivor, Unproven } from '../reports.ts';
import type { SupervisionRecord } from '../store/formats.ts';
import { cookieSegment, KEPT_SUFFIX } from '../tree/cookie.ts';
import { cookieMarksOf, isKeptFrom, marksOf } from '../tree/marks.ts';
import {
  isTagOf,
  markOfTag,
  recordMark,
  recordNumber,
  recordOfTag,
  tagOwner,
} from '../tree/rlimit-tag.ts';
import { Termination } from '../tree/termination.ts';
import { ProcessTree, refusedSignal } from '../tree/tracked-tree.ts';
import type { OrphanContext } from './context.ts';

/**
 * Number of trees searched at once.
 *
 * All that wait for one snapshot continue in the same turn of the event loop.
 */
const TREES_PER_SLICE = 500;

/** The processes that had no purpose any more, and what was done about them. */
export interface OrphanReport {
  readonly ended: readonly ExitReport[];
  readonly survivors: readonly Survivor[];
  /** Every process that was ended, or would be, with the reason. */
  readonly orphans: readonly Orphan[];
  /** Processes that could not be told apart from strangers, and were left alone. */
  readonly unproven: readonly Unproven[];
  /** Number of records whose process is gone, or whose pid belongs to another process now. */
  readonly forgotten: number;
}

interface Candidate {
  readonly record: SupervisionRecord | undefined;
  readonly id: string;
  /** The mark in the tag, for a process that only its tag identifies. */
  readonly tag?: string;
}

/**
 * Ends every tree of a dead owner: those of its records, and those known only by their marks.
 *
 * `spared` are the ids of processes that live on.
 */
export async function endOrphans(
  owner: string,
  records: ReadonlyMap<string, SupervisionRecord>,
  context: OrphanContext,
  spared: readonly string[] = [],
): Promise<OrphanReport> {
  const { os, self } = context;
  const candidates: Candidate[] = [];
  for (const record of records.values()) {
    // Its host died while it let the process go.
    if (spared.includes(record.id)) continue;
    // The pids in a record of another boot or namespace belong to other processes.
    if (record.bootId !== self.bootId || record.pidNamespace !== self.pidNamespace) continue;
    candidates.push({ record, id: record.id });
  }
  const known = [...records.keys(), ...spared];
  candidates.push(...unrecorded(owner, await os.processes.snapshot(), known));
  const report = await endTrees(owner, candidates, 'its host is dead', context);
  const elsewhere = records.size - candidates.filter(({ record }) => record !== undefined).length;
  return { ...report, forgotten: report.forgotten + elsewhere };
}

/** Ends processes that bear a live owner's mark but belong to none of its `known` records. */
export async function endStrays(
  owner: string,
  known: () => readonly string[],
  context: OrphanContext,
): Promise<OrphanReport> {
  const table = await context.os.processes.snapshot();
  // Asked after the snapshot, so that processes started meanwhile are known too.
  return endTrees(owner, unrecorded(owner, table, known()), 'its process has ended', context);
}

/** Ends the tree of one recorded process of any owner; returns the survivors. */
export async function endRecorded(
  owner: string,
  record: SupervisionRecord,
  context: OrphanContext,
): Promise<readonly Survivor[]> {
  const candidate = { record, id: record.id };
  const tree = treeOf(owner, candidate, context.os);
  return (await endTree(candidate, tree, context)).survivors;
}

/** Returns a recorded process's tree, as far as a host other than its own can prove it. */
export function treeOf(owner: string, { record, id, tag }: Candidate, os: Os): ProcessTree {
  const { pid = 0, startTime, group = true, outlivesHost: kept } = record ?? {};
  const marks = marksOf(cookieSegment({ owner, id, ...(kept && { kept }) }));
  return new ProcessTree(os, {
    ...{ pid, startTime, leadsGroup: group, held: false },
    ...marks,
    ...(tag === undefined ? {} : { tag }),
  });
}

/** Lists the ids of an owner's records in live processes' cookies, without those meant to live on. */
export function idsInCookies(owner: string, table: ProcessTable): ReadonlySet<string> {
  const marks = [...table.values()].flatMap(cookieMarksOf);
  const own = marks.filter((mark) => mark.startsWith(`${owner}.`) && !mark.endsWith(KEPT_SUFFIX));
  return new Set(own.map((mark) => mark.slice(owner.length + 1)));
}

/** Tells whether a live process bears an owner's mark, and is not meant to live on. */
export function bearsMarkOf(owner: string, table: ProcessTable): boolean {
  return unrecorded(owner, table, []).length > 0;
}

/** Lists trees known only by marks: cookies, or tags where the cookies are lost. */
function unrecorded(owner: string, table: ProcessTable, known: readonly string[]): Candidate[] {
  const ids = new Set(known);
  const byCookie: Candidate[] = [...idsInCookies(owner, table)]
    .filter((id) => !ids.has(id))
    .map((id) => ({ record: undefined, id }));
  const numbers = new Set([...known, ...byCookie.map(({ id }) => id)].map(recordNumber));
  const byTag = [...numbersInTags(owner, table)]
    .filter((number) => !numbers.has(number))
    .map((number) => {
      const tag = recordMark(tagOwner(owner), number, false);
      return { record: undefined, id: `tag-${number}`, tag };
    });
  return [...byCookie, ...byTag];
}

/** Lists an owner's record numbers in live processes' tags, without those meant to live on. */
function numbersInTags(owner: string, table: ProcessTable): ReadonlySet<number> {
  const digits = tagOwner(owner);
  const numbers = new Set<number>();
  for (const entry of table.values())
    for (const tag of entry.tags ?? [])
      if (isTagOf(tag, digits) && !isKeptFrom(entry, { cookie: '', tag: markOfTag(tag) }))
        numbers.add(recordOfTag(tag));
  return numbers;
}

async function endTrees(
  owner: string,
  candidates: readonly Candidate[],
  reason: string,
  context: OrphanContext,
): Promise<OrphanReport> {
  const ended: ExitReport[] = [];
  const survivors: Survivor[] = [];
  const orphans: Orphan[] = [];
  const unproven: Unproven[] = [];
  const endings: Promise<void>[] = [];
  let forgotten = 0;
  const lookFor = async (candidate: Candidate): Promise<void> => {
    const tree = treeOf(owner, candidate, context.os);
    const members = await tree.liveMembers();
    for (const member of tree.denied) unproven.push(refusedSignal(member));
    if (members.length === 0) {
      const doubt = await doubtOf(candidate, context.os);
      if (doubt === undefined) forgotten++;
      else unproven.push(doubt);
    }
    for (const { pid, command } of members)
      orphans.push({ id: candidate.id, pid, command, reason });
    if (members.length > 0 && !context.dryRun) endings.push(end(candidate, tree));
  };
  const end = async (candidate: Candidate, tree: ProcessTree): Promise<void> => {
    const outcome = await endTree(candidate, tree, context);
    if (outcome.survivors.length > 0) survivors.push(...outcome.survivors);
    else ended.push(outcome.report);
  };
  for (let at = 0; at < candidates.length; at += TREES_PER_SLICE)
    await Promise.all(candidates.slice(at, at + TREES_PER_SLICE).map(lookFor));
  await Promise.all(endings);
  return { ended, survivors, orphans, unproven, forgotten };
}

/**
 * Returns a reason for doubt if the record has no start time.
 *
 * Without a start time, nothing proves that the process with its pid now is the recorded one.
 */
async function doubtOf({ record }: Candidate, os: Os): Promise<Unproven | undefined> {
  if (record === undefined || record.startTime !== undefined) return undefined;
  const { pid, id } = record;
  const isAlive = (await os.processes.snapshot()).get(pid)?.alive ?? false;
  return isAlive ? { pid, reason: `the start time of "${id}" was never known` } : undefined;
}

async function endTree(
  { record, id }: Candidate,
  tree: ProcessTree,
  { os, ladder }: OrphanContext,
) {
  const beganMs = os.clock.monotonicMs();
  const gaps = os.clock.running.watch();
  const target = {
    tree,
    running: () => false,
    endStdin: () => undefined,
    stdinEndedAtMs: undefined,
  };
  const { survivors, forced } = await new Termination(os, target, ladder, {}).done;
  const sessionId = record?.sessionId;
  const report: ExitReport = {
    id,
    pid: record?.pid,
    kind: record?.kind ?? 'unknown',
    sessionId,
    code: null,
    signal: null,
    cause: 'reaped',
    intentional: true,
    forced,
    durationMs: os.clock.monotonicMs() - beganMs,
    pausedMs: gaps.pausedMs,
    stderrTail: '',
    leftovers: [],
  };
  gaps.stop();
  return {
    report,
    survivors: survivors.map(({ pid, command }) => ({ id, sessionId, pid, command })),
  };
}
