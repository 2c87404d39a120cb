import type { Os, ProcessEntry, ProcessTable } from '../os/os.ts';
import { isSameProcess } from '../ownership/identity.ts';
import { type TreeRoot, treeOf, wholeGroups } from './tree.ts';

/** One supervised tree as it is found, look by look: what was proven once stays known. */
export class ProcessTree {
  readonly root: TreeRoot & { startTime: string | undefined; held: boolean };
  readonly #os: Os;
  readonly #known = new Map<number, ProcessEntry>();
  #heldForLooks = Number.POSITIVE_INFINITY;

  constructor(os: Os, root: TreeRoot) {
    this.#os = os;
    this.root = { ...root };
  }

  /** The root is dead: after the two looks that show it, its number may be someone else's. */
  letGo(): void {
    this.#heldForLooks = 2;
  }

  /** Finds the live processes of the tree now; sends nothing. Nobody is found only by two looks in a row. */
  async look(): Promise<ProcessEntry[]> {
    const { members } = await this.#find();
    return members.length > 0 ? members : (await this.#find()).members;
  }

  /** Finds them in a look that was taken for many trees; it must have begun after the root did. */
  membersIn(table: ProcessTable): ProcessEntry[] {
    const members = treeOf(table, this.root, this.#known, this.#os.identify().pid);
    for (const member of members) this.#known.set(member.pid, member);
    return members;
  }

  /** Finds them and signals each that `chosen` picks, proven once more in the moment of the signal. */
  async signal(
    signal: NodeJS.Signals,
    chosen: (member: ProcessEntry) => boolean,
  ): Promise<ProcessEntry[]> {
    const { table, members } = await this.#find();
    const targets = members.filter(chosen);
    const signalled = new Set<number>();
    const seen = table !== undefined;
    // Groups first: no fork slips through a signal to a group.
    for (const pgid of table ? wholeGroups(table, targets) : this.#ownGroup()) {
      const inGroup = targets.filter((member) => member.pgid === pgid);
      if (!inGroup.some((member) => this.#isProven(member, seen, pgid))) continue;
      if (this.#os.signalGroup(pgid, signal) === 'denied') continue;
      for (const member of inGroup) signalled.add(member.pid);
    }
    for (const member of targets) {
      if (signalled.has(member.pid) || !this.#isProven(member, seen)) continue;
      if (signal === 'SIGKILL' && this.#os.endTree) await this.#os.endTree(member.pid);
      else this.#os.signal(member.pid, signal);
    }
    return members;
  }

  /** Whether a process that was found may still be there: what cannot be told now counts as alive. */
  isAlive(member: ProcessEntry): boolean {
    return this.#read(member) ?? true;
  }

  /**
   * Whether it is there for certain, and still in its group if that is to be signalled: what cannot be
   * told now is not signalled, but for what we hold. Where only a look tells it, one has just `seen` it.
   */
  #isProven(member: ProcessEntry, seen: boolean, pgid?: number): boolean {
    const isHeld = this.root.held && member.pid === this.root.pid;
    return this.#read(member, pgid) ?? (isHeld || (seen && this.#os.processes.read === undefined));
  }

  #read(member: ProcessEntry, pgid?: number): boolean | undefined {
    const { read } = this.#os.processes;
    if (read === undefined) return undefined;
    try {
      const now = read(member.pid);
      if (pgid !== undefined && now?.pgid !== pgid) return false;
      return now?.alive === true && isSameProcess(member, now);
    } catch {
      return undefined;
    }
  }

  /** Whether the root itself is there for certain at this moment; `undefined` where only a look can tell. */
  get rootIsThere(): boolean | undefined {
    return this.#read(this.#rootEntry());
  }

  /** The one group that is ours without a look at who is in it. */
  #ownGroup(): number[] {
    const { pid, leadsGroup, held } = this.root;
    return leadsGroup && held ? [pid] : [];
  }

  /** `table` is missing when no look was to be had. */
  async #find(): Promise<{ table?: ProcessTable; members: ProcessEntry[] }> {
    try {
      const table = await this.#os.processes.look();
      const members = this.membersIn(table);
      if (--this.#heldForLooks <= 0) this.root.held = false;
      return { table, members };
    } catch {
      // No look, no news: what was alive when last seen counts as alive until a look says otherwise.
      const known = new Map(this.#known).set(this.root.pid, this.#rootEntry());
      return { members: [...known.values()].filter((member) => this.isAlive(member)) };
    }
  }

  #rootEntry(): ProcessEntry {
    const { pid, startTime = '', leadsGroup } = this.root;
    const group = leadsGroup ? pid : 0;
    const entry = {
      pid,
      startTime,
      ppid: 0,
      pgid: group,
      sid: group,
      command: '',
      cookie: undefined,
    };
    return this.#known.get(pid) ?? { ...entry, alive: true };
  }
}
