import type { Os, ProcessEntry, ProcessTable } from '../os/os.ts';
import type { Unproven } from '../reports.ts';
import { isSettled, readAgain } from './confirm.ts';
import { isSameProcess } from './identity.ts';
import { OwnNumbers } from './own-numbers.ts';
import { type FoundTree, findTree, inGroup, type TreeRoot, wholeGroups } from './tree.ts';

/** How many known processes are kept before the dead among them are forgotten. */
const MANY = 512;

/** What one look has shown. */
interface Look {
  /** Missing when no look was to be had. */
  readonly table?: ProcessTable;
  /** Who is alive; if nobody is, the dead who tell that somebody still must be. */
  readonly members: ProcessEntry[];
  /** Whether somebody is there who was not when last looked. */
  readonly isGrowing: boolean;
}

/** One supervised tree as it is found, look by look: what was proven once stays known. */
export class ProcessTree {
  readonly root: TreeRoot & { startTime: string | undefined; held: boolean; reaped?: boolean };
  readonly #os: Os;
  readonly #known = new Map<number, ProcessEntry>();
  readonly #numbers: OwnNumbers;
  /** What each look has shown: who asks at the same time shares it, and nobody has appeared in between. */
  readonly #looks = new WeakMap<ProcessTable, Look>();
  /** Whom the last one has shown, the dead as well. */
  #seen: ReadonlySet<string> | undefined;
  /** Whether the last signal was a forced one. */
  #wasKilled = false;
  #heldForLooks = Number.POSITIVE_INFINITY;
  #denied: readonly ProcessEntry[] = [];
  #manyKnown = MANY;

  /** `held`: launched by us in this very tick, so its number was given out just now. */
  constructor(os: Os, root: TreeRoot) {
    this.#os = os;
    this.root = { ...root };
    const launched = root.held && root.leadsGroup ? os.pidSupply?.recent() : undefined;
    this.#numbers = new OwnNumbers(root.pid, launched);
  }

  /**
   * The root is dead, and reaped: from now on its number counts only as long as it cannot have been
   * given out again. To be called in the tick in which its exit is told, before anyone else's code.
   */
  letGo(): void {
    this.root.reaped = this.root.held;
    // Windows tells of no numbers; two looks are what shows there whom the root has left.
    if (this.#os.platform === 'win32') this.#heldForLooks = 2;
    else this.root.held = false;
    this.#numbers.prove(this.#os.pidSupply?.now());
  }

  /**
   * Finds the live processes of the tree now; sends nothing. Nobody is found only by two looks in a row.
   * If it goes on forking faster than a look, that is told by those who have died meanwhile.
   */
  async look(): Promise<ProcessEntry[]> {
    let look = await this.#find();
    // Who has died before the first of them tells nothing of now.
    for (let more = 2; more > 0 && !isFound(look); more--) {
      look = await this.#find();
      if (look.members.length === 0) return [];
    }
    return look.members;
  }

  /** Finds them in a look that was taken for many trees; it must have begun after the root did. */
  membersIn(table: ProcessTable): ProcessEntry[] {
    return this.#take(table).members.filter((member) => member.alive);
  }

  /**
   * Finds them and signals each that `chosen` picks, proven once more in the moment of the signal. A
   * group whose members die faster than they can be read is proven by its number.
   */
  async signal(
    signal: NodeJS.Signals,
    chosen: (member: ProcessEntry) => boolean,
  ): Promise<ProcessEntry[]> {
    const { table, members, isGrowing } = await this.#find();
    const targets = members.filter(chosen);
    const signalled = new Set<number>();
    const seen = table !== undefined;
    // Groups first: no fork slips through a signal to a group.
    const groups = (table ? wholeGroups(table, targets) : this.#ownGroup()).filter((pgid) => {
      const inIt = targets.filter((member) => member.pgid === pgid);
      if (inIt.some((member) => this.#isProven(member, seen, pgid))) return true;
      return isGrowing && this.#isOurGroup(pgid);
    });
    // One that grows over several groups would be in another one each time. Both signals go out in this
    // tick: a host that dies in between leaves nobody stopped.
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

  /**
   * Who of the tree was alive when last looked for, and may not be signalled (`sudo`, a setuid program).
   * To wait for them would be to wait for ever, so no look finds them; they are to be named.
   */
  get denied(): readonly ProcessEntry[] {
    return this.#denied;
  }

  /** Whether a process that was found may still be there: what cannot be told now counts as alive. */
  isAlive(member: ProcessEntry): boolean {
    return this.#read(member) ?? true;
  }

  /** Whether the root itself is there for certain at this moment; `undefined` where only a look can tell. */
  get rootIsThere(): boolean | undefined {
    return this.#read(this.#rootEntry());
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

  /** The one group that is ours without a look at who is in it. */
  #ownGroup(): number[] {
    const { pid, leadsGroup, held } = this.root;
    return leadsGroup && held ? [pid] : [];
  }

  /** Whether a group exists and has a number that was ours and cannot have been given out again. */
  #isOurGroup(pgid: number): boolean {
    if (!this.#os.hasGroup?.(pgid)) return false;
    return this.#numbers.at(this.#os.pidSupply?.now()).has(pgid);
  }

  async #find(): Promise<Look> {
    let table: ProcessTable;
    let found: FoundTree;
    try {
      table = await this.#os.processes.look();
      const shared = this.#looks.get(table);
      if (shared !== undefined) return { table, ...shared };
      found = this.#take(table);
    } catch {
      // No look, no news: what was alive when last seen counts as alive until a look says otherwise.
      const known = new Map(this.#known).set(this.root.pid, this.#rootEntry());
      const members = [...known.values()].filter((member) => this.isAlive(member));
      return { members, isGrowing: false };
    }
    if (--this.#heldForLooks <= 0) this.root.held = false;
    const look = this.#judge(table, found.members);
    this.#looks.set(table, look);
    return { table, ...look };
  }

  #judge(table: ProcessTable, found: readonly ProcessEntry[]): Look {
    const all = found.filter((member) => member.alive);
    this.#denied = all.filter((member) => this.#isDenied(member));
    const alive = all.filter((member) => !this.#denied.includes(member));
    const appeared = this.#appeared(found.filter((member) => !this.#denied.includes(member)));
    if (alive.length > 0) return { members: alive, isGrowing: appeared.length > 0 };
    // Who was born and died between two looks had a parent that neither of them has shown.
    if (appeared.length > 0) return { members: appeared, isGrowing: true };
    const members = this.#isHidden(table) ? [{ ...this.#rootEntry(), alive: false }] : [];
    return { members, isGrowing: members.length > 0 };
  }

  /** The root's own end is told by its handle, whoever may signal it. */
  #isDenied({ pid }: ProcessEntry): boolean {
    return !(this.root.held && pid === this.root.pid) && this.#os.isDenied?.(pid) === true;
  }

  /** Who was not there when last looked. */
  #appeared(members: readonly ProcessEntry[]): ProcessEntry[] {
    const before = this.#seen;
    this.#seen = new Set(members.map(keyOf));
    return members.filter((member) => before !== undefined && !before.has(keyOf(member)));
  }

  /** Whether the root's group exists although a look has shown nobody in it, not even a zombie. */
  #isHidden(table: ProcessTable): boolean {
    const { leadsGroup, pid } = this.root;
    return leadsGroup && inGroup(table, pid).length === 0 && this.#isOurGroup(pid);
  }

  #take(table: ProcessTable): FoundTree {
    const after = table.supply?.after;
    const root = { ...this.root, numbers: this.#numbers.at(after) };
    const found = findTree(table, root, this.#known, this.#os.identify().pid);
    const confirmed = this.#confirm(table, found);
    for (const member of confirmed.members) if (member.alive) this.#known.set(member.pid, member);
    if (this.#known.size > this.#manyKnown) this.#forgetDead();
    this.#numbers.prove(after, confirmed.numbers);
    return confirmed;
  }

  /** Finds the tree once more among those that were found, if the look alone cannot tell whose they are. */
  #confirm(table: ProcessTable, found: FoundTree): FoundTree {
    const { read } = this.#os.processes;
    const { members } = found;
    if (read === undefined || isSettled(table, members)) return found;
    const { pid: hostPid } = this.#os.identify();
    try {
      const again = readAgain(table, members, { hostPid, rootPid: this.root.pid }, read);
      const numbers = this.#numbers.at(this.#os.pidSupply?.now());
      return findTree(again, { ...this.root, numbers }, this.#known, hostPid);
    } catch {
      // What cannot be read again is taken for what it was known for.
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

/** What a report says of a process that may not be signalled. */
export function refusedSignal({ pid, command }: Pick<ProcessEntry, 'pid' | 'command'>): Unproven {
  return { pid, reason: `the system refuses a signal to ${command}, another user's: it lives on` };
}

const isFound = ({ members }: Look): boolean => members.some(({ alive }) => alive);

const keyOf = ({ pid, startTime }: ProcessEntry): string => `${pid} ${startTime}`;
