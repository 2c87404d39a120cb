import type { ProcessEntry, ProcessTable } from '../os/os.ts';
import { startedBefore } from '../os/parse.ts';
import { claimsOfProcess, isKeptFrom, type TreeMarks } from './marks.ts';

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
  const search = new TreeSearch(table, root, known, hostPid);
  search.includeProven();
  search.closeOver();
  return { members: [...search.members.values()], numbers: search.numbers };
}

/** One look, and what has been found in it so far. */
class TreeSearch {
  readonly members = new Map<number, ProcessEntry>();
  readonly numbers = new Set<number>();
  readonly #table: ProcessTable;
  readonly #root: TreeRoot;
  readonly #known: KnownProcesses;
  readonly #index: TableIndex;
  /** The host and its ancestors. */
  readonly #never: ReadonlySet<number>;
  readonly #hostNumbers: ReadonlySet<number | undefined>;
  /** Who has the root's number now. */
  readonly #leader: ProcessEntry | undefined;
  readonly #isRecycled: boolean;
  /** Whether the root leads a group and a session of its own: what a file says of it, the table has to confirm. */
  readonly #leads: boolean;
  /** Whose children, group and session are still to be looked at. */
  readonly #pending: ProcessEntry[] = [];
  readonly #included = new Set<readonly ProcessEntry[]>();

  constructor(table: ProcessTable, root: TreeRoot, known: KnownProcesses, hostPid: number) {
    const leader = table.get(root.pid);
    const host = table.get(hostPid);
    this.#table = table;
    this.#root = root;
    this.#known = known;
    this.#index = indexOf(table);
    this.#never = lineage(table, hostPid);
    this.#hostNumbers = new Set([host?.sid, host?.pgid]);
    this.#leader = leader;
    this.#isRecycled = leader !== undefined && !isRoot(leader, root);
    this.#leads =
      root.leadsGroup && (root.held || this.#isRecycled || (leader?.sid ?? root.pid) === root.pid);
  }

  /** Includes whoever is proven by itself, and not by another member. */
  includeProven(): void {
    const [root, index, leader] = [this.#root, this.#index, this.#leader];
    const isThere = leader !== undefined && !this.#isRecycled;
    if (isThere && (root.held || root.startTime !== undefined)) this.#include(leader);
    // Not by our hold alone: the runtime reaps several children at once, and tells of one after the other.
    const wholes = [...(root.numbers ?? [])].filter((number) => this.#isUnclaimed(number));
    if (root.leadsGroup && root.held && isThere) wholes.push(root.pid);
    for (const number of wholes)
      for (const by of [index.byGroup, index.bySession]) this.#includeAll(number, by);
    if (leader === undefined) for (const orphan of orphansOf(root, index)) this.#include(orphan);
    for (const entry of index.byClaim.get(root.cookie) ?? []) this.#include(entry);
    for (const entry of bearersOfTag(root, index)) this.#include(entry);
    for (const [pid, { startTime }] of this.#known) {
      const entry = this.#table.get(pid);
      if (entry?.startTime === startTime) this.#include(entry);
    }
  }

  /** Includes what members lead to: their children, groups and sessions, and so on. */
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

  /** Whether the table shows nobody else with a number that is ours. */
  #isUnclaimed(number: number): boolean {
    if (number <= 1 || this.#hostNumbers.has(number)) return false;
    if (number === this.#root.pid) return !this.#isRecycled;
    const now = this.#table.get(number);
    return !now?.alive || this.#known.get(number)?.startTime === now.startTime;
  }

  /**
   * Whether a member's group or session is ours as a whole. A process cannot join a session, so
   * below a root that leads its own, each was made by the tree; without that, its leader must be in it.
   * One in which a process is older than the root was there before it: our cookie came into it by
   * another way than a fork.
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

/** Everything that has a number as its group or session. */
function withNumber(number: number, { bySession, byGroup }: TableIndex): readonly ProcessEntry[] {
  return [...(bySession.get(number) ?? []), ...(byGroup.get(number) ?? [])];
}

function isOlder(entry: ProcessEntry, { startTime }: TreeRoot): boolean {
  return startTime !== undefined && startedBefore(entry, { startTime });
}

/** Who bears the root's tag; not who has started before it and was given that by somebody's hand. */
function bearersOfTag(root: TreeRoot, { byClaim }: TableIndex): readonly ProcessEntry[] {
  const bearers = root.tag === undefined ? [] : (byClaim.get(root.tag) ?? []);
  return bearers.filter((entry) => !isOlder(entry, root));
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

const INDEX = Symbol('index');

/**
 * Many trees are found in one shared look, so each look is indexed once. The index lies on the table
 * itself: V8's scavenges keep every value of an old WeakMap, also where the key is dead.
 */
function indexOf(table: ProcessTable & { [INDEX]?: TableIndex }): TableIndex {
  if (table[INDEX] === undefined) {
    const entries = [...table.values()];
    table[INDEX] = {
      byParent: Map.groupBy(entries, (entry) => entry.ppid),
      byGroup: Map.groupBy(entries, (entry) => entry.pgid),
      bySession: Map.groupBy(entries, (entry) => entry.sid),
      byClaim: groupByClaim(entries),
    };
  }
  return table[INDEX];
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
