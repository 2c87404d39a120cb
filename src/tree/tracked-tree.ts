import type { Os, ProcessEntry, ProcessTable } from '../os/os.ts';
import type { Unproven } from '../reports.ts';
import { isSettled, readAgain } from './confirm.ts';
import { isSameProcess } from './identity.ts';
import { OwnNumbers } from './own-numbers.ts';
import { type FoundTree, findTree, inGroup, type TreeRoot, wholeGroups } from './tree.ts';

/** Number of known processes above which the dead ones are forgotten. */
const MANY = 512;

/** A tree as one snapshot shows it. */
interface TreeSnapshot {
  /** Absent when no snapshot could be taken. */
  readonly table?: ProcessTable;
  /** The live members; if there are none, the dead ones that prove that others must be alive. */
  readonly members: ProcessEntry[];
  /** True if there are members that the snapshot before did not have. */
  readonly isGrowing: boolean;
}

/** One supervised tree over many snapshots: a member that was proven once stays known. */
export class ProcessTree {
  readonly root: TreeRoot & { startTime: string | undefined; held: boolean; reaped?: boolean };
  readonly #os: Os;
  readonly #known = new Map<number, ProcessEntry>();
  readonly #spared = new Map<number, ProcessEntry>();
  readonly #numbers: OwnNumbers;
  /** The result per snapshot: callers who share one get the same new members. */
  readonly #snapshots = new WeakMap<ProcessTable, TreeSnapshot>();
  /** The members in the last snapshot, the dead ones included. */
  #seen: ReadonlySet<string> | undefined;
  /** True if the last signal was a forced one. */
  #wasKilled = false;
  #heldForSnapshots = Number.POSITIVE_INFINITY;
  #denied: readonly ProcessEntry[] = [];
  #manyKnown = MANY;

  /** `held`: launched by this host in the same tick, so its pid was assigned just now. */
  constructor(os: Os, root: TreeRoot) {
    this.#os = os;
    this.root = { ...root };
    const launched = root.held && root.leadsGroup ? os.pidSupply?.recent() : undefined;
    this.#numbers = new OwnNumbers(root.pid, launched);
  }

  /**
   * Records that the root has exited and been reaped. From now on its pid counts only while it
   * cannot have been reassigned. Call it in the tick of the `exit` event, before any other code.
   */
  letGo(): void {
    this.root.reaped = this.root.held;
    // Windows has no pid counters; there it takes two snapshots to find the root's orphans.
    if (this.#os.platform === 'win32') this.#heldForSnapshots = 2;
    else this.root.held = false;
    this.#numbers.prove(this.#os.pidSupply?.now());
  }

  /**
   * Finds the live processes of the tree now; sends nothing. An empty result takes two snapshots in
   * a row. If the tree forks faster than snapshots are taken, the result has the members that died
   * meanwhile.
   */
  async liveMembers(): Promise<ProcessEntry[]> {
    let found = await this.#find();
    // Members that died before the first snapshot prove nothing about now.
    for (let more = 2; more > 0 && !isFound(found); more--) {
      found = await this.#find();
      if (found.members.length === 0) return [];
    }
    return found.members;
  }

  /**
   * Finds the members in a snapshot shared by many trees; it must have begun after the root did.
   */
  membersIn(table: ProcessTable): ProcessEntry[] {
    return this.#take(table).members.filter((member) => member.alive);
  }

  /**
   * Finds the members and signals those that `chosen` picks, each proven again just before its
   * signal. A group whose members die faster than they can be read is proven by its id.
   */
  async signal(
    signal: NodeJS.Signals,
    chosen: (member: ProcessEntry) => boolean,
  ): Promise<ProcessEntry[]> {
    const { table, members, isGrowing } = await this.#find();
    const targets = members.filter(chosen);
    const signalled = new Set<number>();
    const seen = table !== undefined;
    // Groups first: no fork escapes a signal to a group.
    const groups = (table ? wholeGroups(table, targets) : this.#ownGroup()).filter((pgid) => {
      const inIt = targets.filter((member) => member.pgid === pgid);
      if (inIt.some((member) => this.#isProven(member, seen, pgid))) return true;
      return isGrowing && this.#isOurGroup(pgid);
    });
    // A tree that grows over several groups would be in a new one each time. All signals go out in
    // this tick: a host that dies in between leaves no process stopped.
    const freezes = this.#wasKilled && isGrowing && this.#os.endTree === undefined;
    this.#wasKilled = signal === 'SIGKILL';
    for (const name of freezes && signal === 'SIGKILL'
      ? (['SIGSTOP', 'SIGSTOP', signal] as const)
      : [signal]) {
      for (const pgid of groups) {
        if (this.#os.signalGroup(pgid, name) === 'denied') continue;
        for (const member of targets) if (member.pgid === pgid) signalled.add(member.pid);
      }
    }
    for (const member of targets) {
      if (signalled.has(member.pid) || !this.#isProven(member, seen)) continue;
      if (signal === 'SIGKILL' && this.#os.endTree) await this.#os.endTree(member.pid);
      else this.#os.signal(member.pid, signal);
    }
    return members;
  }

  /** Signals the root alone, proven just before; call it after a look. */
  signalRoot(signal: NodeJS.Signals): void {
    const root = this.#rootEntry();
    if (this.#isProven(root, true)) this.#os.signal(root.pid, signal);
  }

  /** Leaves processes out of the tree from now on, with their descendants and their sessions. */
  spare(processes: readonly ProcessEntry[]): void {
    for (const process of processes) {
      this.#spared.set(process.pid, process);
      this.#known.delete(process.pid);
    }
  }

  /**
   * The live members that this user may not signal (`sudo`, a setuid program). They are reported
   * instead of found, since waiting for them could take forever.
   */
  get denied(): readonly ProcessEntry[] {
    return this.#denied;
  }

  /** True if a member may still be there; a member that cannot be read counts as alive. */
  isAlive(member: ProcessEntry): boolean {
    return this.#read(member) ?? true;
  }

  /**
   * True if the root certainly exists at this moment; `undefined` where only a snapshot can tell.
   */
  get rootIsThere(): boolean | undefined {
    return this.#read(this.#rootEntry());
  }

  /**
   * True if a member certainly exists, and is still in the group that is to be signalled. A member
   * that cannot be read is not signalled, except for a held root. Where only a snapshot can tell,
   * `seen` says that one has just shown it.
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

  /** The one group that is ours without a look at its members. */
  #ownGroup(): number[] {
    const { pid, leadsGroup, held } = this.root;
    return leadsGroup && held ? [pid] : [];
  }

  /** True if a group exists and its id was ours and cannot have been reassigned. */
  #isOurGroup(pgid: number): boolean {
    if (!this.#os.hasGroup?.(pgid)) return false;
    return this.#numbers.at(this.#os.pidSupply?.now()).has(pgid);
  }

  async #find(): Promise<TreeSnapshot> {
    let table: ProcessTable;
    let found: FoundTree;
    try {
      table = await this.#os.processes.snapshot();
      const shared = this.#snapshots.get(table);
      if (shared !== undefined) return { table, ...shared };
      found = this.#take(table);
    } catch {
      // Without a snapshot, members that were alive in the last one count as alive.
      const known = new Map(this.#known).set(this.root.pid, this.#rootEntry());
      const members = [...known.values()].filter((member) => this.isAlive(member));
      return { members, isGrowing: false };
    }
    if (--this.#heldForSnapshots <= 0) this.root.held = false;
    const judged = this.#judge(table, found.members);
    this.#snapshots.set(table, judged);
    return { table, ...judged };
  }

  #judge(table: ProcessTable, found: readonly ProcessEntry[]): TreeSnapshot {
    const all = found.filter((member) => member.alive);
    this.#denied = all.filter((member) => this.#isDenied(member));
    const alive = all.filter((member) => !this.#denied.includes(member));
    const appeared = this.#appeared(found.filter((member) => !this.#denied.includes(member)));
    if (alive.length > 0) return { members: alive, isGrowing: appeared.length > 0 };
    // A process that started and exited between two snapshots had a parent that neither of them
    // shows.
    if (appeared.length > 0) return { members: appeared, isGrowing: true };
    const members = this.#isHidden(table) ? [{ ...this.#rootEntry(), alive: false }] : [];
    return { members, isGrowing: members.length > 0 };
  }

  /** The exit of a held root is reported by its handle, so it is never denied. */
  #isDenied({ pid }: ProcessEntry): boolean {
    return !(this.root.held && pid === this.root.pid) && this.#os.isDenied?.(pid) === true;
  }

  /** The members that the snapshot before did not have. */
  #appeared(members: readonly ProcessEntry[]): ProcessEntry[] {
    const before = this.#seen;
    this.#seen = new Set(members.map(keyOf));
    return members.filter((member) => before !== undefined && !before.has(keyOf(member)));
  }

  /** True if the root's group exists although the snapshot has nobody in it, not even a zombie. */
  #isHidden(table: ProcessTable): boolean {
    const { leadsGroup, pid } = this.root;
    return leadsGroup && inGroup(table, pid).length === 0 && this.#isOurGroup(pid);
  }

  #take(table: ProcessTable): FoundTree {
    const after = table.supply?.after;
    const root = { ...this.root, numbers: this.#numbers.at(after), spared: this.#spared };
    const found = findTree(table, root, this.#known, this.#os.identify().pid);
    const confirmed = this.#confirm(table, found);
    for (const member of confirmed.members) if (member.alive) this.#known.set(member.pid, member);
    if (this.#known.size > this.#manyKnown) this.#forgetDead();
    this.#numbers.prove(after, confirmed.numbers);
    return confirmed;
  }

  /** Searches the tree again among the members found, if the snapshot alone cannot prove them. */
  #confirm(table: ProcessTable, found: FoundTree): FoundTree {
    const { read } = this.#os.processes;
    const { members } = found;
    if (read === undefined || isSettled(table, members)) return found;
    const { pid: hostPid } = this.#os.identify();
    try {
      const again = readAgain(table, members, { hostPid, rootPid: this.root.pid }, read);
      const numbers = this.#numbers.at(this.#os.pidSupply?.now());
      const root = { ...this.root, numbers, spared: this.#spared };
      return findTree(again, root, this.#known, hostPid);
    } catch {
      // Members that cannot be read again count only if they were known before.
      const known = members.filter((member) => isSameProcess(member, this.#known.get(member.pid)));
      return { members: known, numbers: new Set() };
    }
  }

  #forgetDead(): void {
    for (const [pid, member] of this.#known) if (!this.isAlive(member)) this.#known.delete(pid);
    this.#manyKnown = Math.max(MANY, 2 * this.#known.size);
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

/** The report entry of a process that may not be signalled. */
export function refusedSignal({ pid, command }: Pick<ProcessEntry, 'pid' | 'command'>): Unproven {
  return { pid, reason: `the system refuses a signal to ${command}, another user's: it lives on` };
}

const isFound = ({ members }: TreeSnapshot): boolean => members.some(({ alive }) => alive);

const keyOf = ({ pid, startTime }: ProcessEntry): string => `${pid} ${startTime}`;
