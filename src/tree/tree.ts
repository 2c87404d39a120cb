import type { ProcessEntry, ProcessTable } from '../os/os.ts';
import { startedBefore } from '../os/parse.ts';
import { isKeptFrom, marksOfProcess, type TreeMarks } from './marks.ts';

/** The root of a tree, and the proofs that a process belongs to it. */
export interface TreeRoot extends TreeMarks {
  readonly pid: number;
  /** `undefined` until the system has told it. */
  readonly startTime: string | undefined;
  /** The root was launched as leader of its own group and session. */
  readonly leadsGroup: boolean;
  /**
   * Its pid cannot be reassigned yet: the host holds its child handle (or did a moment ago, on
   * Windows).
   */
  readonly held: boolean;
  /** The root has exited and was reaped, so any process with its pid is another one. */
  readonly reaped?: boolean;
  /**
   * Group and session ids of the tree that cannot have been reassigned up to this snapshot. Their
   * leaders may be dead.
   */
  readonly numbers?: ReadonlySet<number>;
  /** Processes that are none of the tree any more, as are their descendants and their sessions. */
  readonly spared?: KnownProcesses;
}

/** Processes that earlier snapshots have proven, by pid. */
export type KnownProcesses = ReadonlyMap<number, Pick<ProcessEntry, 'startTime'>>;

/** The members and ids of a tree in one snapshot. */
export interface FoundTree {
  /**
   * Zombies included: they run nothing, but keep ids in use and prove that there were processes.
   */
  readonly members: readonly ProcessEntry[];
  /** The groups and sessions that belong to the tree as a whole. */
  readonly numbers: ReadonlySet<number>;
}

/** Finds every live process of a tree in one snapshot. */
export function treeOf(...looking: Parameters<typeof findTree>): ProcessEntry[] {
  return findTree(...looking).members.filter((entry) => entry.alive);
}

/**
 * Finds a tree in one snapshot of the process table.
 *
 * Starts from members that are proven on their own: the root, a mark, an earlier snapshot, an id
 * that cannot have been reassigned. Then adds their children, groups and sessions, and so on. A
 * process with a kept cookie is left out, and so is everything reached only through it. The host
 * and its ancestors never belong to a tree.
 */
export function findTree(
  table: ProcessTable,
  root: TreeRoot,
  known: KnownProcesses,
  hostPid: number,
): FoundTree {
  const search = new TreeSearch(table, root, known, hostPid);
  search.includeProven();
  search.closeOver();
  return { members: [...search.members.values()], numbers: search.numbers };
}

/** One snapshot, and the members found so far. */
class TreeSearch {
  readonly members = new Map<number, ProcessEntry>();
  readonly numbers = new Set<number>();
  readonly #table: ProcessTable;
  readonly #root: TreeRoot;
  readonly #known: KnownProcesses;
  readonly #index: TableIndex;
  /** The host and its ancestors, and the spared processes. */
  readonly #never: ReadonlySet<number>;
  readonly #hostNumbers: ReadonlySet<number | undefined>;
  /** The process that has the root's pid in this snapshot. */
  readonly #leader: ProcessEntry | undefined;
  readonly #isRecycled: boolean;
  /**
   * True if the root leads its own group and session; the table has to confirm what a file says.
   */
  readonly #leads: boolean;
  /** Members whose children, group and session have not been searched yet. */
  readonly #pending: ProcessEntry[] = [];
  readonly #included = new Set<readonly ProcessEntry[]>();

  constructor(table: ProcessTable, root: TreeRoot, known: KnownProcesses, hostPid: number) {
    const leader = table.get(root.pid);
    const host = table.get(hostPid);
    this.#table = table;
    this.#root = root;
    this.#known = known;
    this.#index = indexOf(table);
    const spared = root.spared ? sparedIn(table, root.spared, this.#index) : [];
    this.#never = new Set([...lineage(table, hostPid), ...spared]);
    this.#hostNumbers = new Set([host?.sid, host?.pgid]);
    this.#leader = leader;
    this.#isRecycled = leader !== undefined && !isRoot(leader, root);
    this.#leads =
      root.leadsGroup && (root.held || this.#isRecycled || (leader?.sid ?? root.pid) === root.pid);
  }

  /** Includes the processes that are proven on their own, not by another member. */
  includeProven(): void {
    const [root, index, leader] = [this.#root, this.#index, this.#leader];
    const isThere = leader !== undefined && !this.#isRecycled;
    if (isThere && (root.held || root.startTime !== undefined)) this.#include(leader);
    // A held child is no proof alone: the runtime reaps several children at once and reports them
    // one by one.
    const wholes = [...(root.numbers ?? [])].filter((number) => this.#isNotReused(number));
    if (root.leadsGroup && root.held && isThere) wholes.push(root.pid);
    for (const number of wholes)
      for (const by of [index.byGroup, index.bySession]) this.#includeAll(number, by);
    if (leader === undefined) for (const orphan of orphansOf(root, index)) this.#include(orphan);
    for (const entry of index.byMark.get(root.cookie) ?? []) this.#include(entry);
    for (const entry of taggedProcesses(root, index)) this.#include(entry);
    for (const [pid, { startTime }] of this.#known) {
      const entry = this.#table.get(pid);
      if (entry?.startTime === startTime) this.#include(entry);
    }
  }

  /** Includes the children, groups and sessions of members, and so on. */
  closeOver(): void {
    const { byParent, byGroup, bySession } = this.#index;
    for (let entry = this.#pending.pop(); entry !== undefined; entry = this.#pending.pop()) {
      for (const child of byParent.get(entry.pid) ?? []) this.#include(child);
      if (this.#isOurs(entry.sid)) this.#includeAll(entry.sid, bySession);
      if (this.#isOurs(entry.pgid)) this.#includeAll(entry.pgid, byGroup);
    }
  }

  #include(entry: ProcessEntry | undefined): void {
    if (entry === undefined || entry.pid <= 1 || this.members.has(entry.pid)) return;
    if (this.#never.has(entry.pid) || isKeptFrom(entry, this.#root)) return;
    this.members.set(entry.pid, entry);
    this.#pending.push(entry);
  }

  #includeAll(number: number, by: TableIndex['byGroup']): void {
    const entries = by.get(number) ?? [];
    if (this.#included.has(entries)) return;
    this.#included.add(entries);
    if (entries.length > 0 || number === this.#root.pid) this.numbers.add(number);
    for (const entry of entries) this.#include(entry);
  }

  /** True if no other process in the table has an id of ours as its pid. */
  #isNotReused(number: number): boolean {
    if (number <= 1 || this.#hostNumbers.has(number)) return false;
    if (number === this.#root.pid) return !this.#isRecycled;
    const now = this.#table.get(number);
    return !now?.alive || this.#known.get(number)?.startTime === now.startTime;
  }

  /**
   * True if a member's group or session belongs to the tree as a whole. A process cannot join a
   * session. So below a root that leads its own, each session was made by the tree; otherwise the
   * leader must be a member. A group with a process that is older than the root existed before: the
   * cookie got into it by another way than a fork.
   */
  #isOurs(number: number): boolean {
    if (this.numbers.has(number)) return true;
    if (number <= 1 || this.#never.has(number)) return false;
    if (this.#table.get(number)?.alive) return this.members.has(number);
    if (!this.#leads || this.#hostNumbers.has(number)) return false;
    return !withNumber(number, this.#index).some((entry) => isOlder(entry, this.#root));
  }
}

function isRoot(leader: ProcessEntry, { startTime, reaped = false }: TreeRoot): boolean {
  return !reaped && (startTime === undefined || leader.startTime === startTime);
}

/** All processes in the group or session with this id. */
function withNumber(number: number, { bySession, byGroup }: TableIndex): readonly ProcessEntry[] {
  return [...(bySession.get(number) ?? []), ...(byGroup.get(number) ?? [])];
}

function isOlder(entry: ProcessEntry, { startTime }: TreeRoot): boolean {
  return startTime !== undefined && startedBefore(entry, { startTime });
}

/** The processes with the root's tag, except older ones, which somebody gave the tag by hand. */
function taggedProcesses(root: TreeRoot, { byMark }: TableIndex): readonly ProcessEntry[] {
  const tagged = root.tag === undefined ? [] : (byMark.get(root.tag) ?? []);
  return tagged.filter((entry) => !isOlder(entry, root));
}

/**
 * The children of a dead root. Only Windows, without groups, still names the dead parent; that is a
 * proof until the pid is free.
 */
function orphansOf(root: TreeRoot, { byParent }: TableIndex): readonly ProcessEntry[] {
  if (!root.held || root.startTime === undefined) return [];
  const children = byParent.get(root.pid) ?? [];
  return children.filter((child) => child.pgid === 0 && !isOlder(child, root));
}

/** All processes in a group, zombies included. */
export function inGroup(table: ProcessTable, pgid: number): readonly ProcessEntry[] {
  return indexOf(table).byGroup.get(pgid) ?? [];
}

/** The groups in which all processes are members; each can be signalled in one step. */
export function wholeGroups(table: ProcessTable, members: readonly ProcessEntry[]): number[] {
  const pids = new Set(members.map((member) => member.pid));
  const { byGroup } = indexOf(table);
  return [...new Set(members.map((member) => member.pgid))].filter(
    (pgid) =>
      pgid > 1 && (byGroup.get(pgid) ?? []).every((other) => pids.has(other.pid) || !other.alive),
  );
}

/** Finds the spared processes, their descendants, and the sessions that they lead. */
function sparedIn(
  table: ProcessTable,
  spared: KnownProcesses,
  { byParent, bySession }: TableIndex,
): ReadonlySet<number> {
  const pending = [...spared].flatMap(([pid, { startTime }]) => {
    const entry = table.get(pid);
    return entry?.startTime === startTime ? [entry] : [];
  });
  const found = new Set<number>();
  for (let entry = pending.pop(); entry !== undefined; entry = pending.pop()) {
    if (found.has(entry.pid)) continue;
    found.add(entry.pid);
    pending.push(...(byParent.get(entry.pid) ?? []));
    if (entry.sid === entry.pid) pending.push(...(bySession.get(entry.pid) ?? []));
  }
  return found;
}

interface TableIndex {
  readonly byParent: ReadonlyMap<number, ProcessEntry[]>;
  readonly byGroup: ReadonlyMap<number, ProcessEntry[]>;
  readonly bySession: ReadonlyMap<number, ProcessEntry[]>;
  readonly byMark: ReadonlyMap<string, ProcessEntry[]>;
}

const INDEX = Symbol('index');

/**
 * Many trees are found in one shared snapshot, so each snapshot is indexed once. The index lies on the table
 * itself: V8's scavenges keep every value of an old WeakMap, also where the key is dead.
 */
function indexOf(table: ProcessTable & { [INDEX]?: TableIndex }): TableIndex {
  if (table[INDEX] === undefined) {
    const entries = [...table.values()];
    table[INDEX] = {
      byParent: Map.groupBy(entries, (entry) => entry.ppid),
      byGroup: Map.groupBy(entries, (entry) => entry.pgid),
      bySession: Map.groupBy(entries, (entry) => entry.sid),
      byMark: groupByMark(entries),
    };
  }
  return table[INDEX];
}

function groupByMark(entries: readonly ProcessEntry[]): Map<string, ProcessEntry[]> {
  const groups = new Map<string, ProcessEntry[]>();
  for (const entry of entries) {
    for (const mark of marksOfProcess(entry)) {
      const group = groups.get(mark);
      if (group === undefined) groups.set(mark, [entry]);
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
