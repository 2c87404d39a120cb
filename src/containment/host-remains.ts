import type { GuardRequest, Os, ProcessEntry, ProcessTable } from '../os/os.ts';
import { startedBefore } from '../os/parse.ts';
import { parseCookie } from '../tree/cookie.ts';
import { Termination, type TerminationOutcome } from '../tree/termination.ts';
import { ProcessTree } from '../tree/tracked-tree.ts';
import { idsInCookies } from './orphans.ts';

export interface HostRemainsOptions {
  readonly owner: string;
  readonly hostPid: number;
  /** The owner's eleven digits in the tags of all it started. */
  readonly tag?: string | undefined;
}

/** A tag with an even second digit: its bearer is meant to live on. */
const KEPT_TAG = /^[1-9][02468]\d{17}$/;

/** What a dead host leaves: all that it told its guardian of, and all that carries its cookie or its tag. */
export class HostRemains {
  readonly #os: Os;
  readonly #owner: string;
  readonly #hostPid: number;
  readonly #tag: RegExp | undefined;
  readonly #registered = new Map<number, string | undefined>();
  /** By pid, by the id in the cookie, or by the identity of one that is proven by its tag. */
  readonly #trees = new Map<number | string, ProcessTree>();

  constructor(os: Os, { owner, hostPid, tag }: HostRemainsOptions) {
    this.#os = os;
    this.#owner = owner;
    this.#hostPid = hostPid;
    this.#tag = tag === undefined ? undefined : new RegExp(`^[1-9][13579]${tag}\\d{6}$`);
  }

  register(pid: number, startTime: string | undefined): void {
    this.#registered.set(pid, startTime);
  }

  forget(pid: number): void {
    this.#registered.delete(pid);
  }

  /** Ends what can be proven of it, all under one grace; the host is dead. */
  async end({ politeMs, forcedMs }: Omit<GuardRequest, 'owner'>): Promise<TerminationOutcome> {
    const table = await this.#look();
    for (const [pid, startTime] of this.#registered) this.#claim(pid, startTime, table);
    this.#claimProven(table);
    const ladder = { stdinEofMs: 0, termMs: politeMs, killMs: forcedMs };
    const target = { running: () => false, endStdin: () => undefined, stdinEndedAtMs: undefined };
    return new Termination(this.#os, { ...target, tree: this }, ladder, {}).done;
  }

  async liveMembers(): Promise<ProcessEntry[]> {
    const found = await Promise.all([...this.#trees.values()].map((tree) => tree.liveMembers()));
    return found.flat();
  }

  async signal(
    signal: NodeJS.Signals,
    chosen: (member: ProcessEntry) => boolean,
  ): Promise<ProcessEntry[]> {
    const known = [...this.#trees.values()];
    // At once, so that all share one look.
    const [table, ...found] = await Promise.all([
      this.#look(),
      ...known.map((tree) => sendTo(tree, signal, chosen)),
    ]);
    const late = this.#claimProven(table).map((tree) => sendTo(tree, signal, chosen));
    return [...found, ...(await Promise.all(late))].flat();
  }

  isAlive(member: ProcessEntry): boolean {
    return [...this.#trees.values()].some((tree) => tree.isAlive(member));
  }

  #look(): Promise<ProcessTable> {
    return this.#os.processes.snapshot().catch(() => new Map());
  }

  /** Takes what a registration proves: the process itself, or what it left if it is gone. */
  #claim(pid: number, startTime: string | undefined, table: ProcessTable): void {
    const leader = table.get(pid);
    // Windows tells a start time late, but still names the dead host as the parent.
    const provenStart =
      startTime ?? (leader?.ppid === this.#hostPid ? leader.startTime : undefined);
    if (provenStart === undefined) return;
    this.#add(pid, { pid, startTime: provenStart });
    if (leader !== undefined) return;
    // Windows ends a host's children with it, but not theirs, which still name the dead parent.
    for (const heir of table.values()) {
      if (heir.ppid === pid && !startedBefore(heir, { startTime: provenStart }))
        this.#add(heir.pid, heir);
    }
  }

  /** Takes everyone whose cookie or tag proves it, and to whom nothing yet leads; returns the new ones. */
  #claimProven(table: ProcessTable): ProcessTree[] {
    const ids = [...idsInCookies(this.#owner, table)].filter((id) => !this.#trees.has(id));
    const byCookie = ids.map((id) => this.#add(id, { pid: 0, startTime: undefined }));
    const tagged = [...table.values()].filter((entry) => this.#isTagged(entry));
    const byTag = tagged.flatMap((entry) => {
      const key = `${entry.pid} ${entry.startTime}`;
      return this.#trees.has(key) ? [] : [this.#add(key, entry)];
    });
    return [...byCookie, ...byTag];
  }

  /** Whether one bears our tag, and neither tag nor cookie says that it is meant to live on. */
  #isTagged({ alive, tags = [], cookie }: ProcessEntry): boolean {
    const pattern = this.#tag;
    if (!alive || pattern === undefined || !tags.some((tag) => pattern.test(tag))) return false;
    return !tags.some((tag) => KEPT_TAG.test(tag)) && !parseCookie(cookie).some(({ kept }) => kept);
  }

  #add(
    key: number | string,
    { pid, startTime }: { pid: number; startTime: string | undefined },
  ): ProcessTree {
    const leadsGroup = this.#os.platform !== 'win32';
    const cookie = `${this.#owner}.${key}`;
    const tree = new ProcessTree(this.#os, { pid, startTime, leadsGroup, held: false, cookie });
    this.#trees.set(key, tree);
    return tree;
  }
}

/** Signals a tree; whoever is stopped goes on after a polite signal, and hears it. */
async function sendTo(
  tree: ProcessTree,
  signal: NodeJS.Signals,
  chosen: (member: ProcessEntry) => boolean,
): Promise<ProcessEntry[]> {
  const sent = new Set<number>();
  const members = await tree.signal(signal, (member) => {
    const isDue = chosen(member);
    if (isDue) sent.add(member.pid);
    return isDue;
  });
  if (signal === 'SIGTERM' && sent.size > 0)
    await tree.signal('SIGCONT', (member) => sent.has(member.pid));
  return members;
}
