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
  /** Its number cannot be anyone else's yet: we hold its child handle, or did a moment ago. */
  readonly held: boolean;
}

/** What earlier looks have proven, by pid. */
export type KnownProcesses = ReadonlyMap<number, Pick<ProcessEntry, 'startTime'>>;

/**
 * Finds every live process of a tree in one look at the process table.
 *
 * Starts from what is proven by itself (the root, the cookie, an earlier look) and closes over
 * children, groups and sessions. A process with a kept cookie is left out and nothing is reached
 * through it; the host and its ancestors never belong to a tree.
 */
export function treeOf(
  table: ProcessTable,
  root: TreeRoot,
  known: KnownProcesses,
  hostPid: number,
): ProcessEntry[] {
  const index = indexOf(table);
  const never = lineage(table, hostPid);
  const host = table.get(hostPid);
  const hostNumbers = new Set([host?.sid, host?.pgid]);
  const members = new Map<number, ProcessEntry>();
  const pending: ProcessEntry[] = [];
  const include = (entry: ProcessEntry | undefined): void => {
    if (entry === undefined || entry.pid <= 1 || members.has(entry.pid)) return;
    if (never.has(entry.pid) || isKeptFrom(entry, root)) return;
    members.set(entry.pid, entry);
    pending.push(entry);
  };

  const leader = table.get(root.pid);
  const recycled =
    leader !== undefined && root.startTime !== undefined && leader.startTime !== root.startTime;
  // What a file says of a leader, the table has to confirm.
  const leads =
    root.leadsGroup && (root.held || recycled || (leader?.sid ?? root.pid) === root.pid);
  if (leader !== undefined && !recycled && (root.held || root.startTime !== undefined))
    include(leader);
  if (root.leadsGroup && root.held && !recycled) {
    for (const entry of index.byGroup.get(root.pid) ?? []) include(entry);
    for (const entry of index.bySession.get(root.pid) ?? []) include(entry);
  }
  // Only Windows still names a dead parent; until its number is free again, that is a proof.
  const { startTime } = root;
  if (leader === undefined && root.held && startTime !== undefined) {
    const children = index.byParent.get(root.pid) ?? [];
    for (const child of children) if (!startedBefore(child, { startTime })) include(child);
  }
  for (const entry of index.byClaim.get(root.cookie) ?? []) include(entry);
  for (const entry of bearersOfTag()) include(entry);
  for (const [pid, { startTime }] of known) {
    const entry = table.get(pid);
    if (entry?.startTime === startTime) include(entry);
  }

  for (let entry = pending.pop(); entry !== undefined; entry = pending.pop()) {
    for (const child of index.byParent.get(entry.pid) ?? []) include(child);
    if (isOurs(entry.sid)) for (const other of index.bySession.get(entry.sid) ?? []) include(other);
    if (isOurs(entry.pgid)) for (const other of index.byGroup.get(entry.pgid) ?? []) include(other);
  }
  return [...members.values()].filter((entry) => entry.alive);

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
   */
  function isOurs(number: number): boolean {
    if (number <= 1 || never.has(number)) return false;
    const numberLeader = table.get(number);
    return numberLeader?.alive ? members.has(number) : leads && !hostNumbers.has(number);
  }
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
