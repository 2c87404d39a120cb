import type { Os, ProcessEntry, ProcessTable } from '../os/os.ts';
import { isSameProcess } from '../ownership/identity.ts';
import { type LadderOptions, type LadderStep, planLadder } from './ladder.ts';
import { type TreeRoot, treeOf, wholeGroups } from './tree.ts';

/** Longest pause between two looks at who is dead. */
const MAX_POLL_MS = 25;
/** The same where one look costs a child process (macOS, Windows). */
const COSTLY_POLL_MS = 100;
/** How long an unchanged tree is watched before the whole table is looked at again. */
const RESCAN_MS = 250;

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
      const members = treeOf(table, this.root, this.#known, this.#os.identify().pid);
      for (const member of members) this.#known.set(member.pid, member);
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

/** What the ladder climbs down. */
export interface EndTarget {
  readonly tree: Pick<ProcessTree, 'look' | 'signal' | 'isAlive'>;
  /** Whether the process itself still runs. */
  running(): boolean;
  endStdin(): void;
  /** When stdin ended, on the monotonic clock; `undefined` while it is open. */
  readonly stdinEndedAtMs: number | undefined;
}

export interface EndOptions {
  readonly force?: boolean | undefined;
  readonly deadlineMs?: number | undefined;
}

/** What the ladder achieved. */
export interface EndOutcome {
  readonly survivors: readonly ProcessEntry[];
  readonly forced: boolean;
}

/** One way down the ladder; everyone who wants the same tree to end shares it. */
export class Ending {
  readonly done: Promise<EndOutcome>;
  readonly #os: Os;
  readonly #target: EndTarget;
  readonly #killMs: number;
  readonly #steps: { readonly send: LadderStep['send']; untilMs: number }[];
  readonly #politelySignalled = new Set<string>();
  #forced = false;
  #wake: () => void = () => undefined;

  constructor(os: Os, target: EndTarget, ladder: LadderOptions, options: EndOptions) {
    this.#os = os;
    this.#target = target;
    this.#killMs = ladder.killMs;
    const nowMs = os.clock.monotonicMs();
    const { stdinEndedAtMs } = target;
    this.#steps = planLadder(ladder, {
      stdin: target.running(),
      politeSignals: os.endTree === undefined,
      ...(stdinEndedAtMs === undefined ? {} : { stdinEndedForMs: nowMs - stdinEndedAtMs }),
      force: options.force ?? false,
      deadlineMs: options.deadlineMs,
    }).map(({ send, untilMs }) => ({ send, untilMs: nowMs + untilMs }));
    this.done = this.#climbDown();
  }

  /** Takes a later, stricter wish into account: force now, or an earlier deadline. */
  hurry({ force = false, deadlineMs }: EndOptions): void {
    const nowMs = this.#os.clock.monotonicMs();
    const killByMs = nowMs + (force ? this.#killMs : (deadlineMs ?? Number.POSITIVE_INFINITY));
    const politeByMs = force ? nowMs : killByMs - this.#killMs;
    for (const step of this.#steps) {
      step.untilMs = Math.min(step.untilMs, step.send === 'SIGKILL' ? killByMs : politeByMs);
    }
    this.#wake();
  }

  /** The process itself has died; no need to wait for the next poll. */
  wake(): void {
    this.#wake();
  }

  async #climbDown(): Promise<EndOutcome> {
    for (const step of this.#steps) {
      if (step.send === 'stdin-eof') {
        this.#target.endStdin();
        while (this.#target.running() && this.#leftMs(step) > 0)
          await this.#pause(this.#leftMs(step));
      } else if (await this.#signalUntilDead(step.send, step)) {
        return { survivors: [], forced: this.#forced };
      }
    }
    const survivors = await this.#target.tree.look();
    return { survivors, forced: this.#forced };
  }

  /** Signals the tree, and whoever joins it, until two looks in a row find nobody; false if time is up before. */
  async #signalUntilDead(
    signal: 'SIGTERM' | 'SIGKILL',
    step: { untilMs: number },
  ): Promise<boolean> {
    let emptyLooks = 0;
    for (;;) {
      const members = await this.#target.tree.signal(signal, (member) =>
        this.#isDue(signal, member),
      );
      if (members.length === 0) {
        // A process may fork and die while a look passes it by; a second look finds its child.
        if (++emptyLooks === 2) return true;
        continue;
      }
      emptyLooks = 0;
      this.#forced ||= signal === 'SIGKILL';
      await this.#untilDead(members, step);
      if (this.#leftMs(step) <= 0 && members.some((member) => this.#target.tree.isAlive(member)))
        return false;
    }
  }

  /** A polite signal goes to each process once; a forced one whenever it is still seen. */
  #isDue(signal: NodeJS.Signals, member: ProcessEntry): boolean {
    if (signal === 'SIGKILL') return true;
    const key = `${member.pid} ${member.startTime}`;
    if (this.#politelySignalled.has(key)) return false;
    this.#politelySignalled.add(key);
    return true;
  }

  async #untilDead(members: readonly ProcessEntry[], step: { untilMs: number }): Promise<void> {
    const rescanAtMs = this.#os.clock.monotonicMs() + RESCAN_MS;
    const { read } = this.#os.processes;
    for (let pollMs = read ? 1 : COSTLY_POLL_MS; ; pollMs = Math.min(1.5 * pollMs, MAX_POLL_MS)) {
      const leftMs = Math.min(this.#leftMs(step), rescanAtMs - this.#os.clock.monotonicMs());
      if (leftMs <= 0 || !members.some((member) => this.#target.tree.isAlive(member))) return;
      await this.#pause(Math.min(pollMs, leftMs));
      if (read === undefined) return;
    }
  }

  #leftMs(step: { untilMs: number }): number {
    return step.untilMs - this.#os.clock.monotonicMs();
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#os.clock.after(ms, resolve, { keepAlive: true });
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }
}
