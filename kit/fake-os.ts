// An operating system in memory: the injected parts (clock, launch and signal, process table), and a log
// of the calls.
import type { ChildProcess } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { PassThrough } from 'node:stream';
import {
  type BareProcess,
  COOKIE_VARIABLE,
  type Launched,
  type LaunchFailure,
  type LaunchRequest,
  type Os,
  type PidSupply,
  type Platform,
  type ProcessEntry,
  type Processes,
  type ProcessTable,
  type SelfIdentity,
  type SignalResult,
  type Usage,
} from '../src/os/os.ts';
import { answersOk, canConnect } from '../src/os/probe.ts';
import { pipedOf, type StdioOptions } from '../src/process/stdio-options.ts';
import { FakeClock } from './fake-clock.ts';

/** The reaction of a process to a signal, or to the end of its stdin. */
export type Reaction = 'die' | 'ignore' | { readonly dieAfterMs: number } | (() => void);
export type Stimulus = 'EOF' | NodeJS.Signals;
type Reactions = Readonly<Partial<Record<Stimulus, Reaction>>>;

/** Stimuli that end no process by default. */
const HARMLESS: ReadonlySet<Stimulus> = new Set(['EOF', 'SIGCONT', 'SIGSTOP']);

/** Ignores all signals, as a process in uninterruptible sleep does. */
export const UNKILLABLE: Reactions = { SIGTERM: 'ignore', SIGKILL: 'ignore' };

export interface FakeProcess extends Omit<ProcessEntry, 'alive' | 'cookie' | 'tags'> {
  ppid: number;
  pgid: number;
  sid: number;
  alive: boolean;
  cookie: string | undefined;
  tags: readonly string[];
  on: Reactions;
}

export const HOST_PID = 50;
const FIRST_PID = 100;

const NO_USAGE: Usage = { cpuPercent: 0, cpuTimeMs: 0, rssBytes: 0 };

class FakeChild extends EventEmitter {
  readonly pid: number;
  readonly stdin: PassThrough | null;
  readonly stdout: PassThrough | null;
  readonly stderr: PassThrough | null;

  constructor(pid: number, request: LaunchRequest) {
    super();
    this.pid = pid;
    const { stdin, stdout, stderr } = pipedOf(request as StdioOptions);
    this.stdin = stdin ? new PassThrough() : null;
    this.stdout = stdout ? new PassThrough() : null;
    this.stderr = stderr ? new PassThrough() : null;
  }
}

export class FakeOs implements Os {
  readonly platform: Platform;
  isMainThread = true;
  /** Codes of the warnings that went to `process.emitWarning`. */
  readonly processWarnings: string[] = [];
  /** Number of the host's own signal listeners. */
  hostListeners = 0;
  readonly processes: Processes;
  readonly endTree?: (pid: number) => Promise<void>;
  readonly identifyAsync?: () => Promise<SelfIdentity>;
  readonly hasGroup?: (pgid: number) => boolean;
  readonly pidSupply?: NonNullable<Os['pidSupply']>;
  readonly clock = new FakeClock();
  readonly probe = { canConnect, answersOk };
  /** The calls in order: `launch a`, `EOF 100`, `SIGTERM 100`, `SIGKILL -100` (a group). */
  readonly log: string[] = [];
  /** The log with the time of each call: `2000 SIGTERM -100`. */
  readonly timeline: string[] = [];
  readonly launches: LaunchRequest[] = [];
  /** Reactions of the processes that are launched from now on. */
  reactions: Reactions = {};
  /** The failure of the next launches. */
  failure: LaunchFailure | undefined;
  /** Called after a look, before the caller gets it, so that the world can change in between. */
  afterLook: (() => void) | undefined;
  /** The boot id, which a host on some systems gets only later. */
  bootId = 'fake-boot';
  /** The error of looks, and of reads of one process. */
  lookError: Error | undefined;
  readError: Error | undefined;
  /** `true` to refuse signals to groups. */
  groupsDenied = false;
  /** Processes of another user: signals to them are refused. */
  readonly denied = new Set<number>();
  looks = 0;
  /** The state of pid allocation; `undefined` where it cannot be read. */
  supply: PidSupply | undefined = { forks: 1000, last: FIRST_PID - 1, max: 32_768, tasks: 20 };
  /** Usage of processes; others have no sample. */
  readonly usage = new Map<number, Partial<Usage>>();
  /** The pids of each sample. */
  readonly samples: number[][] = [];
  /** Each process's share of shared memory, on a system that reports it. */
  pss?: NonNullable<Os['pss']>;
  /** Kills for want of memory, on a system that counts them. */
  oomKills?: NonNullable<Os['oomKills']>;
  variables: Record<string, string | undefined> = {};
  readonly #table = new Map<number, FakeProcess>();
  readonly #children = new Map<number, FakeChild>();
  readonly #received = new Map<string, Stimulus[]>();
  readonly #listeners = new Map<NodeJS.Signals, Set<() => void>>();
  #lastPid = FIRST_PID - 1;
  #lastStart = 1000;

  constructor(platform: Platform = 'linux') {
    this.platform = platform;
    const snapshot = () => this.#snapshot();
    this.processes =
      platform === 'linux' ? { snapshot, read: (pid: number) => this.#read(pid) } : { snapshot };
    if (platform !== 'linux') this.identifyAsync = () => this.#identifyAsync();
    if (platform === 'linux')
      this.pidSupply = { now: () => this.supply, recent: () => this.supply };
    if (platform !== 'win32')
      this.hasGroup = (pgid) => [...this.#table.values()].some((entry) => entry.pgid === pgid);
    if (platform === 'win32') this.endTree = async (pid) => this.#endTree(pid);
    this.add({ pid: 1, ppid: 0, pgid: 1, sid: 1, command: 'init' });
    this.add({ pid: HOST_PID, ppid: 1, pgid: HOST_PID, sid: HOST_PID, command: 'host' });
  }

  async #snapshot(): Promise<ProcessTable> {
    this.looks++;
    if (this.lookError !== undefined) throw this.lookError;
    const before = this.supply;
    const table = new Map(
      Array.from(this.#table, ([pid, { on: _, ...entry }]) => [pid, { ...entry }] as const),
    );
    const after = this.supply;
    this.afterLook?.();
    return before && after ? Object.assign(table, { supply: { before, after } }) : table;
  }

  #read(pid: number): BareProcess | undefined {
    if (this.readError !== undefined) throw this.readError;
    const entry = this.#table.get(pid);
    if (entry === undefined) return undefined;
    const { cookie: _cookie, tags: _tags, on: _on, ...bare } = entry;
    return bare;
  }

  /** Ends a live process and its descendants, as taskkill does. */
  #endTree(pid: number): void {
    this.note(`end ${pid}`);
    if (!this.#table.has(pid)) return;
    const children = [...this.#table.values()].filter(({ ppid }) => ppid === pid);
    for (const child of children) this.#endTree(child.pid);
    this.#react(pid, 'SIGKILL');
  }

  /** Adds a process to the table, by default a child of the host in its own session. */
  add(process: Partial<FakeProcess> = {}): FakeProcess {
    const pid = process.pid ?? ++this.#lastPid;
    // Windows has neither groups nor sessions.
    const group = this.platform === 'win32' ? 0 : pid;
    const entry = {
      pid,
      ppid: HOST_PID,
      pgid: group,
      sid: group,
      alive: true,
      startTime: String(++this.#lastStart),
      command: 'fake',
      cookie: undefined,
      tags: [],
      on: {},
      ...process,
    };
    this.#table.set(pid, entry);
    this.#count(pid);
    return entry;
  }

  /** Counts a given-out pid: the next one, or one of a later round. */
  #count(pid: number): void {
    if (this.supply === undefined) return;
    const { forks, last, max } = this.supply;
    const taken = pid > last ? pid - last : max - last + pid;
    this.supply = { ...this.supply, forks: forks + taken, last: pid };
  }

  /** Adds a child of `parent` in its group and session, with its cookie and tags. */
  fork(parent: number, process: Partial<FakeProcess> = {}): FakeProcess {
    const { pgid, sid, cookie, tags } = this.get(parent);
    return this.add({ ppid: parent, pgid, sid, cookie, tags, command: 'descendant', ...process });
  }

  get(pid: number): FakeProcess {
    const process = this.#table.get(pid);
    if (process === undefined) throw new Error(`there is no process ${pid}`);
    return process;
  }

  /** Pids of the live processes, without pid 1 and the host. */
  get alive(): number[] {
    return [...this.#table.values()]
      .filter(({ pid, alive }) => alive && pid !== 1 && pid !== HOST_PID)
      .map(({ pid }) => pid);
  }

  /** Ends a process: its children get pid 1 as parent, and a launched one emits its exit. */
  die(pid: number, code: number | null = 0, signal: NodeJS.Signals | null = null): void {
    if (!this.#table.delete(pid)) return;
    // On Windows children keep the pid of a dead parent.
    if (this.platform !== 'win32')
      for (const other of this.#table.values()) if (other.ppid === pid) other.ppid = 1;
    const child = this.#children.get(pid);
    if (child === undefined) return;
    this.#children.delete(pid);
    child.stdout?.end();
    child.stderr?.end();
    setImmediate(() => child.emit('exit', code, signal));
  }

  /** The stimuli that exactly this process received, and not another one with its pid. */
  received({ pid, startTime }: Pick<FakeProcess, 'pid' | 'startTime'>): readonly Stimulus[] {
    return this.#received.get(`${pid} ${startTime}`) ?? [];
  }

  /** Adds a line to the log. */
  note(what: string): void {
    this.log.push(what);
    this.timeline.push(`${this.clock.monotonicMs()} ${what}`);
  }

  /** Delivers the end of stdin to a process. */
  endStdin(pid: number): void {
    this.note(`EOF ${pid}`);
    this.#react(pid, 'EOF');
  }

  /** The launched process, as its parent sees it. */
  child(pid: number): Record<'stdin' | 'stdout' | 'stderr', PassThrough> {
    const child = this.#children.get(pid);
    if (child === undefined) throw new Error(`there is no child ${pid}`);
    const { stdin, stdout, stderr } = child;
    if (!stdin || !stdout || !stderr) throw new Error(`child ${pid} has a stream that is no pipe`);
    return { stdin, stdout, stderr };
  }

  launch(request: LaunchRequest): Launched {
    this.launches.push(request);
    this.note(`launch ${request.command}`);
    if (this.failure !== undefined) return { failure: Promise.resolve(this.failure) };
    const { pid } = this.add({
      command: request.command,
      cookie: request.env[COOKIE_VARIABLE],
      on: this.reactions,
    });
    const child = new FakeChild(pid, request);
    this.#children.set(pid, child);
    child.stdin?.resume();
    child.stdin?.once('finish', () => {
      if (!this.#table.has(pid)) return;
      this.endStdin(pid);
    });
    return { child: child as unknown as ChildProcess };
  }

  signal(pid: number, signal: NodeJS.Signals): SignalResult {
    this.note(`${signal} ${pid}`);
    if (!this.#table.has(pid)) return 'gone';
    if (this.denied.has(pid)) return 'denied';
    this.#react(pid, signal);
    return 'sent';
  }

  isDenied(pid: number): boolean {
    return this.denied.has(pid);
  }

  signalGroup(pgid: number, signal: NodeJS.Signals): SignalResult {
    this.note(`${signal} -${pgid}`);
    if (this.groupsDenied) return 'denied';
    const group = [...this.#table.values()].filter((process) => process.pgid === pgid);
    if (group.length === 0) return 'gone';
    for (const { pid } of group) this.#react(pid, signal);
    return 'sent';
  }

  identify(): SelfIdentity {
    const { pid, startTime } = this.get(HOST_PID);
    if (this.platform === 'linux')
      return { machine: 'fake', pid, startTime, bootId: this.bootId, pidNamespace: 'pid:[1]' };
    return { machine: 'fake', pid, startTime: undefined, bootId: '', pidNamespace: '' };
  }

  async #identifyAsync(): Promise<SelfIdentity> {
    const startTime = (await this.processes.snapshot()).get(HOST_PID)?.startTime;
    const bootId = this.platform === 'win32' ? '' : this.bootId;
    return { ...this.identify(), startTime, bootId };
  }

  environment() {
    return this.variables;
  }

  isOwnUsers(): boolean {
    return true;
  }

  userId() {
    return process.getuid?.();
  }

  stateHome(): string {
    throw new Error('a test names its state directory');
  }

  async sample(pids: readonly number[]): Promise<ReadonlyMap<number, Usage>> {
    this.samples.push([...pids]);
    return new Map(
      pids.flatMap((pid) => {
        const usage = this.usage.get(pid);
        return usage === undefined ? [] : [[pid, { ...NO_USAGE, ...usage }] as const];
      }),
    );
  }

  onSignal(signal: NodeJS.Signals, listener: () => void): () => void {
    const listeners = this.#listeners.get(signal) ?? new Set();
    this.#listeners.set(signal, listeners.add(listener));
    return () => void listeners.delete(listener);
  }

  /** Delivers a signal to the host. */
  receive(signal: NodeJS.Signals): void {
    for (const listener of [...(this.#listeners.get(signal) ?? [])]) listener();
  }

  signalListeners(signal: NodeJS.Signals) {
    return { host: this.hostListeners, ours: this.#listeners.get(signal)?.size ?? 0 };
  }

  onParent(): () => void {
    return () => undefined;
  }

  emitWarning(code: string): void {
    this.processWarnings.push(code);
  }

  raise(signal: NodeJS.Signals): void {
    this.note(`raise ${signal}`);
  }

  #react(pid: number, stimulus: Stimulus): void {
    const { on, startTime, alive } = this.get(pid);
    const key = `${pid} ${startTime}`;
    this.#received.set(key, [...(this.#received.get(key) ?? []), stimulus]);
    if (!alive) return;
    const reaction = on[stimulus] ?? (HARMLESS.has(stimulus) ? 'ignore' : 'die');
    const die = (): void => {
      // The pid may belong to another process by then.
      if (this.#table.get(pid)?.startTime !== startTime) return;
      if (stimulus === 'EOF') this.die(pid, 0, null);
      else this.die(pid, null, stimulus);
    };
    if (reaction === 'die') die();
    else if (typeof reaction === 'function') reaction();
    else if (typeof reaction === 'object') this.clock.after(reaction.dieAfterMs, die);
  }
}
