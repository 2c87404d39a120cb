import type { ProcessEntry, ProcessTable } from '../os/os.ts';
import { startedBefore } from '../os/parse.ts';
import { claimsOfProcess, isKeptFrom, type TreeMarks } from '../tree/marks.ts';

/** Where a tree begins, and what proves that a process belongs to it. */
export interface TreeRoot extends TreeMarks {
  readonly pid: number;
  /** `undefined` until the system has told it. */
  readonly startTime: string | undefined;
  /** We launched it as leader of a group and session of its own. */
  readonly leadsGroup: boolean;
  /** Its number cannot be anyone else's yet: we hold its child handle (or did a moment ago, on Windows). */
  readonly held: boolean;
  /** It was our child and has exited: whoever has its number now is someone else, whatever the start time. */
  readonly reaped?: boolean;
  /**
   * Groups and sessions of the tree whose numbers cannot have been given out again up to this look,
   * although their leaders may be dead.
   */
  readonly numbers?: ReadonlySet<number>;
}

/** What earlier looks have proven, by pid. */
export type KnownProcesses = ReadonlyMap<number, Pick<ProcessEntry, 'startTime'>>;

/** What a look has shown of a tree. */
export interface FoundTree {
  /** The zombies, too: they run nothing, but keep numbers in use and tell that somebody lived. */
  readonly members: readonly ProcessEntry[];
  /** The groups and sessions that are the tree's as a whole. */
  readonly numbers: ReadonlySet<number>;
}

/** Finds every live process of a tree in one look at the process table. */
export function treeOf(...looking: Parameters<typeof findTree>): ProcessEntry[] {
  return findTree(...looking).members.filter((entry) => entry.alive);
}

/**
 * Finds a tree in one look at the process table.
 *
 * Starts from what is proven by itself (the root, the cookie, an earlier look, a number that cannot
 * have been given out again) and closes over children, groups and sessions. A process with a kept
 * cookie is left out and nothing is reached through it; the host and its ancestors never belong to a
 * tree.
 */
export function findTree(
  table: ProcessTable,
  root: TreeRoot,
  known: KnownProcesses,
  hostPid: number,
): FoundTree {
  const index = indexOf(table);
  const never = lineage(table, hostPid);
  const host = table.get(hostPid);
  const hostNumbers = new Set([host?.sid, host?.pgid]);
  const members = new Map<number, ProcessEntry>();
  const numbers = new Set<number>();
  const kinds = [index.byGroup, index.bySession];
  const included = new Set<readonly ProcessEntry[]>();
  const pending: ProcessEntry[] = [];
  const include = (entry: ProcessEntry | undefined): void => {
    if (entry === undefined || entry.pid <= 1 || members.has(entry.pid)) return;
    if (never.has(entry.pid) || isKeptFrom(entry, root)) return;
    members.set(entry.pid, entry);
    pending.push(entry);
  };

  const leader = table.get(root.pid);
  const recycled = leader !== undefined && !isRoot(leader, root);
  // What a file says of a leader, the table has to confirm.
  const leads =
    root.leadsGroup && (root.held || recycled || (leader?.sid ?? root.pid) === root.pid);
  const isThere = leader !== undefined && !recycled;
  if (isThere && (root.held || root.startTime !== undefined)) include(leader);
  // Not by our hold alone: the runtime reaps several children at once, and tells of one after the other.
  const wholes = [...(root.numbers ?? [])].filter(isUnclaimed);
  if (root.leadsGroup && root.held && isThere) wholes.push(root.pid);
  for (const number of wholes) for (const by of kinds) includeAll(number, by);
  if (leader === undefined) for (const orphan of orphansOf(root, index)) include(orphan);
  for (const entry of index.byClaim.get(root.cookie) ?? []) include(entry);
  for (const entry of bearersOfTag()) include(entry);
  for (const [pid, { startTime }] of known) {
    const entry = table.get(pid);
    if (entry?.startTime === startTime) include(entry);
  }

  for (let entry = pending.pop(); entry !== undefined; entry = pending.pop()) {
    for (const child of index.byParent.get(entry.pid) ?? []) include(child);
    if (isOurs(entry.sid)) includeAll(entry.sid, index.bySession);
    if (isOurs(entry.pgid)) includeAll(entry.pgid, index.byGroup);
  }
  return { members: [...members.values()], numbers };

  function includeAll(number: number, by: TableIndex['byGroup']): void {
    const entries = by.get(number) ?? [];
    if (included.has(entries)) return;
    included.add(entries);
    if (entries.length > 0 || number === root.pid) numbers.add(number);
    for (const entry of entries) include(entry);
  }

  /** Whether the table shows nobody else with a number that is ours. */
  function isUnclaimed(number: number): boolean {
    if (number <= 1 || hostNumbers.has(number)) return false;
    if (number === root.pid) return !recycled;
    const now = table.get(number);
    return !now?.alive || known.get(number)?.startTime === now.startTime;
  }

  /** What has started before the root was given its tag by somebody's hand. */
  function bearersOfTag(): readonly ProcessEntry[] {
    const bearers = root.tag === undefined ? [] : (index.byClaim.get(root.tag) ?? []);
    const { startTime } = root;
    if (startTime === undefined) return bearers;
    return bearers.filter((entry) => !startedBefore(entry, { startTime }));
  }

  /**
   * Whether a member's group or session is ours as a whole. A process cannot join a session, so
   * below a root that leads its own, each was made by the tree; without that, its leader must be in it.
   * One in which a process is older than the root was there before it: our cookie came into it by
   * another way than a fork.
   */
  function isOurs(number: number): boolean {
    if (numbers.has(number)) return true;
    if (number <= 1 || never.has(number)) return false;
    if (table.get(number)?.alive) return members.has(number);
    if (!leads || hostNumbers.has(number)) return false;
    return !withNumber(number, index).some((entry) => isOlder(entry, root));
  }
}

function isRoot(leader: ProcessEntry, { startTime, reaped = false }: TreeRoot): boolean {
  return !reaped && (startTime === undefined || leader.startTime === startTime);
}

/** Everything that has a number as its group or session. */
function withNumber(number: number, { bySession, byGroup }: TableIndex): readonly ProcessEntry[] {
  return [...(bySession.get(number) ?? []), ...(byGroup.get(number) ?? [])];
}

function isOlder(entry: ProcessEntry, { startTime }: TreeRoot): boolean {
  return startTime !== undefined && startedBefore(entry, { startTime });
}

/** The children of a dead root: only Windows, without groups, still names it, a proof until its number is free. */
function orphansOf(root: TreeRoot, { byParent }: TableIndex): readonly ProcessEntry[] {
  if (!root.held || root.startTime === undefined) return [];
  const children = byParent.get(root.pid) ?? [];
  return children.filter((child) => child.pgid === 0 && !isOlder(child, root));
}

/** Everything in a group, zombies included. */
export function inGroup(table: ProcessTable, pgid: number): readonly ProcessEntry[] {
  return indexOf(table).byGroup.get(pgid) ?? [];
}

/** The groups that hold nothing but members: these can be signalled in one step. */
export function wholeGroups(table: ProcessTable, members: readonly ProcessEntry[]): number[] {
  const pids = new Set(members.map((member) => member.pid));
  const { byGroup } = indexOf(table);
  return [...new Set(members.map((member) => member.pgid))].filter(
    (pgid) =>
      pgid > 1 && (byGroup.get(pgid) ?? []).every((other) => pids.has(other.pid) || !other.alive),
  );
}

interface TableIndex {
  readonly byParent: ReadonlyMap<number, ProcessEntry[]>;
  readonly byGroup: ReadonlyMap<number, ProcessEntry[]>;
  readonly bySession: ReadonlyMap<number, ProcessEntry[]>;
  readonly byClaim: ReadonlyMap<string, ProcessEntry[]>;
}

// Many trees are found in one shared look, so each look is indexed once.
const indexes = new WeakMap<ProcessTable, TableIndex>();

function indexOf(table: ProcessTable): TableIndex {
  let index = indexes.get(table);
  if (index === undefined) {
    const entries = [...table.values()];
    index = {
      byParent: Map.groupBy(entries, (entry) => entry.ppid),
      byGroup: Map.groupBy(entries, (entry) => entry.pgid),
      bySession: Map.groupBy(entries, (entry) => entry.sid),
      byClaim: groupByClaim(entries),
    };
    indexes.set(table, index);
  }
  return index;
}

function groupByClaim(entries: readonly ProcessEntry[]): Map<string, ProcessEntry[]> {
  const groups = new Map<string, ProcessEntry[]>();
  for (const entry of entries) {
    for (const claim of claimsOfProcess(entry)) {
      const group = groups.get(claim);
      if (group === undefined) groups.set(claim, [entry]);
      else group.push(entry);
    }
  }
  return groups;
}

/** A process and its ancestors. */
export function lineage(table: ProcessTable, start: number): ReadonlySet<number> {
  const pids = new Set<number>();
  for (let pid: number | undefined = start; pid !== undefined && !pids.has(pid); ) {
    pids.add(pid);
    pid = table.get(pid)?.ppid;
  }
  return pids;
}
