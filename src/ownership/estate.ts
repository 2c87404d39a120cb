import type { GuardRequest, Os, ProcessEntry, ProcessTable } from '../os/os.ts';
import { startedBefore } from '../os/parse.ts';
import { ProcessTree } from '../termination/process-tree.ts';
import { Ending, type EndOutcome } from '../termination/terminate.ts';
import { idsInCookies } from './orphans.ts';

/** What a dead host leaves: all that it told its guardian of, and all that carries its cookie. */
export class Estate {
  readonly #os: Os;
  readonly #owner: string;
  readonly #hostPid: number;
  readonly #registered = new Map<number, string | undefined>();
  /** By pid, or by the id in the cookie. */
  readonly #trees = new Map<number | string, ProcessTree>();

  constructor(os: Os, { owner, hostPid }: { owner: string; hostPid: number }) {
    this.#os = os;
    this.#owner = owner;
    this.#hostPid = hostPid;
  }

  register(pid: number, startTime: string | undefined): void {
    this.#registered.set(pid, startTime);
  }

  forget(pid: number): void {
    this.#registered.delete(pid);
  }

  /** Ends what can be proven of it, all under one grace; the host is dead. */
  async end({ politeMs, forcedMs }: Omit<GuardRequest, 'owner'>): Promise<EndOutcome> {
    const table = await this.#look();
    for (const [pid, startTime] of this.#registered) this.#claim(pid, startTime, table);
    this.#claimCookies(table);
    const ladder = { stdinEofMs: 0, termMs: politeMs, killMs: forcedMs };
    const target = { running: () => false, endStdin: () => undefined, stdinEndedAtMs: undefined };
    return new Ending(this.#os, { ...target, tree: this }, ladder, {}).done;
  }

  async look(): Promise<ProcessEntry[]> {
    const found = await Promise.all([...this.#trees.values()].map((tree) => tree.look()));
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
      ...known.map((tree) => tree.signal(signal, chosen)),
    ]);
    const late = this.#claimCookies(table).map((tree) => tree.signal(signal, chosen));
    return [...found, ...(await Promise.all(late))].flat();
  }

  isAlive(member: ProcessEntry): boolean {
    return [...this.#trees.values()].some((tree) => tree.isAlive(member));
  }

  #look(): Promise<ProcessTable> {
    return this.#os.processes.look().catch(() => new Map());
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

  /** Takes everyone whose cookie nothing yet leads to; returns the new ones. */
  #claimCookies(table: ProcessTable): ProcessTree[] {
    const ids = [...idsInCookies(this.#owner, table)].filter((id) => !this.#trees.has(id));
    return ids.map((id) => this.#add(id, { pid: 0, startTime: undefined }));
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
