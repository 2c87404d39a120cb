import type { GuardRequest, Os, ProcessEntry, ProcessTable } from '../os/os.ts';
import { startedBefore } from '../os/parse.ts';
import { parseCookie } from '../tree/cookie.ts';
import { recordNumber, recordOfTag } from '../tree/rlimit-tag.ts';
import { Termination, type TerminationOutcome } from '../tree/termination.ts';
import { ProcessTree } from '../tree/tracked-tree.ts';
import { idsInCookies } from './orphans.ts';

export interface HostRemainsOptions {
  readonly owner: string;
  readonly hostPid: number;
  /** The owner's eleven digits in the tags of all processes it started. */
  readonly tag?: string | undefined;
}

/** Matches a tag with an even second digit: its bearer is meant to live on. */
const KEPT_TAG = /^[1-9][02468]\d{17}$/;

/**
 * The processes that a dead host leaves.
 *
 * These are all that it registered with its guardian, and all that carry its cookie or its tag.
 */
export class HostRemains {
  readonly #os: Os;
  readonly #owner: string;
  readonly #hostPid: number;
  readonly #tag: RegExp | undefined;
  readonly #registered = new Map<number, string | undefined>();
  readonly #spared = new Set<string>();
  readonly #sparedNumbers = new Set<number>();
  /** Keyed by pid, by the id in the cookie, or by the identity of a process proven by its tag. */
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

  /** Leaves the tree of a record alone, whatever marks it has. */
  spare(id: string): void {
    this.#spared.add(id);
    this.#sparedNumbers.add(recordNumber(id));
  }

  /** Ends all processes that are proven to be the dead host's, within one shared grace. */
  async end({ politeMs, forcedMs }: Omit<GuardRequest, 'owner'>): Promise<TerminationOutcome> {
    const table = await this.#look();
    for (const [pid, startTime] of this.#registered) this.#addRegistered(pid, startTime, table);
    this.#addMarked(table);
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
    // Concurrent, so that all share one snapshot.
    const [table, ...found] = await Promise.all([
      this.#look(),
      ...known.map((tree) => sendTo(tree, signal, chosen)),
    ]);
    const late = this.#addMarked(table).map((tree) => sendTo(tree, signal, chosen));
    return [...found, ...(await Promise.all(late))].flat();
  }

  isAlive(member: ProcessEntry): boolean {
    return [...this.#trees.values()].some((tree) => tree.isAlive(member));
  }

  #look(): Promise<ProcessTable> {
    return this.#os.processes.snapshot().catch(() => new Map());
  }

  /** Adds the trees that a registration proves: the process itself, and what it left if it has exited. */
  #addRegistered(pid: number, startTime: string | undefined, table: ProcessTable): void {
    const leader = table.get(pid);
    // Windows reports a start time late, but still names the dead host as the parent.
    const provenStart =
      startTime ?? (leader?.ppid === this.#hostPid ? leader.startTime : undefined);
    if (provenStart === undefined) return;
    this.#add(pid, { pid, startTime: provenStart });
    if (leader !== undefined) return;
    // Windows ends a host's children with it, but not their children, which still name the dead parent.
    for (const heir of table.values()) {
      if (heir.ppid === pid && !startedBefore(heir, { startTime: provenStart }))
        this.#add(heir.pid, heir);
    }
  }

  /** Adds the trees proven by cookie or tag that are not known yet; returns the new ones. */
  #addMarked(table: ProcessTable): ProcessTree[] {
    const ids = [...idsInCookies(this.#owner, table)].filter(
      (id) => !this.#trees.has(id) && !this.#spared.has(id),
    );
    const byCookie = ids.map((id) => this.#add(id, { pid: 0, startTime: undefined }));
    const tagged = [...table.values()].filter((entry) => this.#isTagged(entry));
    const byTag = tagged.flatMap((entry) => {
      const key = `${entry.pid} ${entry.startTime}`;
      return this.#trees.has(key) ? [] : [this.#add(key, entry)];
    });
    return [...byCookie, ...byTag];
  }

  /** Tells whether a process bears this host's tag, and no tag or cookie lets it live on. */
  #isTagged({ alive, tags = [], cookie }: ProcessEntry): boolean {
    const pattern = this.#tag;
    const isOurs = (tag: string) =>
      pattern?.test(tag) === true && !this.#sparedNumbers.has(recordOfTag(tag));
    if (!alive || !tags.some(isOurs)) return false;
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

/** Signals a tree; a polite signal also continues stopped members, so that they receive it. */
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
