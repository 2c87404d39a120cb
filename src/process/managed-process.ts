import type { ChildProcess } from 'node:child_process';
import type { Registry } from '../containment/registry.ts';
import { SupervisorError } from '../errors.ts';
import type { Emit, ProcessSubject } from '../events.ts';
import { sleep } from '../os/clock.ts';
import type { OomWatch } from '../os/oom-kills.ts';
import type { Os } from '../os/os.ts';
import type { GapWatch } from '../os/running-time.ts';
import type { Budget } from '../policy/budget.ts';
import type { Condition } from '../policy/condition.ts';
import type { ConversationLease, ConversationRequest } from '../policy/conversation-lease.ts';
import type { ConversationTurn } from '../policy/conversation-turns.ts';
import type { StreamActivity } from '../policy/limits/limit.ts';
import type { ProcessLimits } from '../policy/limits/limits.ts';
import type { Session } from '../policy/session.ts';
import type { Slot } from '../policy/slot.ts';
import type {
  EndReport,
  ExitCause,
  ExitReport,
  ProcessInfo,
  Survivor,
  WaitsFor,
} from '../reports.ts';
import type { SupervisionRecord } from '../store/formats.ts';
import type { LadderOptions } from '../tree/ladder.ts';
import { marksOf } from '../tree/marks.ts';
import { type EndOptions, Termination } from '../tree/termination.ts';
import { ProcessTree, refusedSignal } from '../tree/tracked-tree.ts';
import { Handle, type TerminateOptions } from './handle.ts';
import type { CheckedRequest } from './request.ts';
import { pipedOf } from './stdio-options.ts';

/** Signals that mean the caller ends the process; all others are passed through. */
const ENDING_SIGNALS: ReadonlySet<string> = new Set([
  ...['SIGTERM', 'SIGKILL', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGABRT'],
]);

/** Longest pause between two looks at leftovers that may finish. */
const GRACE_POLL_MS = 250;

/** The parts of a supervisor that one process needs. */
export interface ProcessContext {
  readonly os: Os;
  readonly emit: Emit;
  readonly options: {
    readonly ladder: LadderOptions;
    readonly sweep: { readonly intervalMs: number };
  };
}

/** `refused`: the process was not started. `gone`: it and its whole tree are dead. */
export type ProcessState =
  | 'new'
  | 'queued'
  | 'starting'
  | ProcessInfo['state']
  | 'refused'
  | 'gone';

/** The result of a launch or an adoption. */
export interface RunningParts {
  /** `undefined` for an adopted process. */
  readonly child: ChildProcess | undefined;
  readonly record: SupervisionRecord;
  readonly registry: Registry;
  /** The segment that names the process in the cookies of its tree. Default: this host's segment for it. */
  readonly segment?: string;
  readonly budget?: Budget;
  /** Called when a termination has found no live member of the tree. */
  readonly onTreeGone?: () => void;
}

/** One process from its request to the death of its tree. */
export class ManagedProcess {
  readonly id: string;
  readonly request: CheckedRequest;
  readonly handle: Handle;
  readonly subject: ProcessSubject;
  readonly holdsSlot: boolean;
  state: ProcessState = 'new';

  // Granted on admission.
  slot: Slot | undefined;
  readonly leases: ConversationLease[] = [];
  session: Session | undefined;
  /** Its place among the requests that wait for its conversation. */
  turn: ConversationTurn | undefined;
  /** Its needs beside a slot. */
  condition: Condition | undefined;
  /** The conversation to run, if it is known before the start. */
  conversation: ConversationRequest | undefined;
  /** The caller took the request back. */
  takenBackBy: NodeJS.Signals | undefined;

  // Set at the start.
  child: ChildProcess | undefined;
  record!: SupervisionRecord;
  registry!: Registry;
  tree!: ProcessTree;
  startedAtMs = 0;
  /** Measures pauses from the start to the death of the whole tree. */
  gaps!: GapWatch;
  budget: Budget | undefined;
  /** Only where the system counts kills for want of memory. */
  oomWatch: OomWatch | undefined;
  /** Only if the process has streams, and a limit or an agent's output needs the counts. */
  activity: StreamActivity | undefined;
  /** Stops watching the limits, and an adopted process. */
  disarm: () => void = () => undefined;
  /** Ends the supervision, and leaves the tree alone; `false` if there was none. */
  disown: () => Promise<boolean> = async () => false;
  stdinEndedAtMs: number | undefined;

  // Set while it ends.
  /** The cause of the exit; written once, before the first signal. */
  cause: ExitCause | undefined;
  forced = false;
  /** The process exited by itself, and its leftovers may live on: nothing is left to end. */
  kept = false;
  /** Another host may run its conversation by now: nothing more is recorded of this process. */
  isForfeit = false;
  /** True if the last termination found no live member, perhaps before the exit was reported. */
  isTreeGone: boolean | undefined;
  readonly #context: ProcessContext;
  #refuseQueued: (error: SupervisorError) => void = () => undefined;
  #ending: Termination | undefined;
  #killedByCaller = false;
  #onTreeGone: (() => void) | undefined;
  #lookAgain: () => void = () => undefined;

  /** `held`: a slot that the caller already has. */
  constructor(context: ProcessContext, id: string, request: CheckedRequest, held?: Slot) {
    const { kind, sessionId } = request;
    this.#context = context;
    this.id = id;
    this.request = request;
    this.subject = { id, kind, sessionId };
    this.slot = held;
    this.holdsSlot = held !== undefined || (request.slot ?? kind === 'agent');
    this.handle = new Handle(id, this, pipedOf(request), request.input);
  }

  /** Marks the process as queued; `refuse` takes it out of the queue. */
  queue(refuse: (error: SupervisorError) => void): void {
    this.state = 'queued';
    this.#refuseQueued = refuse;
  }

  /** Refuses the process if it is still queued. */
  leaveQueue(error: SupervisorError): void {
    if (this.state === 'queued') this.#refuseQueued(error);
  }

  /** Marks the process as running. */
  run({ child, record, registry, ...parts }: RunningParts): void {
    const { os } = this.#context;
    const { outlivesHost, signal } = this.request;
    this.state = 'running';
    this.child = child;
    this.record = record;
    this.registry = registry;
    this.budget = parts.budget;
    this.#onTreeGone = parts.onTreeGone;
    this.startedAtMs = os.clock.monotonicMs();
    this.gaps = os.clock.running.watch();
    this.oomWatch = os.oomKills?.watch(record.pid);
    this.tree = new ProcessTree(os, {
      pid: record.pid,
      startTime: record.startTime,
      leadsGroup: record.group,
      held: child !== undefined,
      ...marksOf(parts.segment ?? registry.segment(this.id, outlivesHost)),
    });
    // Without a stdin there is no end of input to wait for.
    if (!child?.stdin) this.stdinEndedAtMs = Number.NEGATIVE_INFINITY;
    child?.stdin?.once('finish', () => {
      this.stdinEndedAtMs = os.clock.running.monotonicMs();
    });
    signal?.addEventListener('abort', this.#onAbort, { once: true });
    for (const lease of this.leases) lease.attach(this);
  }

  /** Releases its conversation leases and its slot. */
  release(): void {
    this.turn?.leave();
    for (const lease of this.leases) lease.release();
    this.slot?.release();
  }

  /** True until the process itself has exited. */
  running(): boolean {
    return !this.handle.over;
  }

  /** True if `stop` does not end the process: it is meant to live on, or cleans up after another. */
  get outlivesHost(): boolean {
    return this.record.outlivesHost === true || this.request.cleansUp === true;
  }

  /** Tells if its end may let those go who wait for that. */
  holds({ cause, name }: WaitsFor): boolean {
    if (cause === 'slot' || cause === 'machine') return this.holdsSlot;
    if (cause === 'condition') return this.countsToCap;
    return cause === 'key' && name !== undefined && this.keys.includes(name);
  }

  /** The keys under which the pool counts it. */
  get keys(): readonly string[] {
    return this.request.keys ?? [];
  }

  /** `undefined` for an adopted process, which has no limits. */
  get limits(): ProcessLimits | undefined {
    return this.child && this.request.limits;
  }

  /** True if the process survived its termination; the next sweep tries again. */
  get survived(): boolean {
    return this.isTreeGone === false;
  }

  /**
   * Tells if a hard cap may count it.
   *
   * Kept processes, and adopted ones without a slot, are not ours to bound.
   */
  get countsToCap(): boolean {
    return !this.outlivesHost && (this.child !== undefined || this.slot !== undefined);
  }

  endStdin(): void {
    this.handle.endStdin();
  }

  /** Signals the process, or takes it out of the queue; false if neither applied. */
  kill(signal: NodeJS.Signals): boolean {
    if (this.state === 'queued') {
      this.takenBackBy = signal;
      this.leaveQueue(takenBack());
      return true;
    }
    return this.#isStarted && !this.isDisowned && this.#signal(signal);
  }

  get isDisowned(): boolean {
    return this.state === 'disowned';
  }

  /** Marks the process as let go: nothing here ends it any more. */
  letGo(report: ExitReport): void {
    this.state = 'disowned';
    this.oomWatch?.stop();
    this.gaps.stop();
    this.request.signal?.removeEventListener('abort', this.#onAbort);
    this.handle.settle(report);
  }

  #signal(signal: NodeJS.Signals): boolean {
    const { os } = this.#context;
    const { rootIsThere } = this.tree;
    // The exit of a reaped child may be reported late, and its pid may belong to another process by then.
    const isGone = rootIsThere === false && this.record.startTime !== undefined;
    const isThere = this.child === undefined ? rootIsThere : !isGone;
    if (isThere === false) return false;
    if (ENDING_SIGNALS.has(signal)) {
      this.#killedByCaller ||= this.cause === undefined;
      // On Windows every signal ends this one process by force, so its tree must be ended first.
      const force = signal === 'SIGKILL' || os.endTree !== undefined;
      // Where only a snapshot tells whether the process is there, the ladder takes one.
      if (os.endTree !== undefined || isThere === undefined) {
        void this.end('terminated', { force });
        return true;
      }
      this.cause ??= 'terminated';
      this.forced ||= force;
    }
    return isThere === true && os.signal(this.record.pid, signal) === 'sent';
  }

  async terminate({ reason, ...options }: TerminateOptions): Promise<EndReport> {
    if (this.#isStarted) return this.end('terminated', options, reason);
    const { clock } = this.#context.os;
    const beganMs = clock.monotonicMs();
    this.kill('SIGTERM');
    const ended = [await this.handle.exited];
    return { ended, survivors: [], unproven: [], durationMs: clock.monotonicMs() - beganMs };
  }

  get #isStarted(): boolean {
    return this.record !== undefined;
  }

  /** Ends the process and its tree; joins a termination that is already running. */
  async end(cause: ExitCause, options: EndOptions = {}, reason?: string): Promise<EndReport> {
    const { os, emit } = this.#context;
    const beganMs = os.clock.monotonicMs();
    if (this.isDisowned) return { ended: [], survivors: [], unproven: [], durationMs: 0 };
    this.cause ??= cause;
    if (this.running() && !this.ending)
      emit('ending', { ...this.subject, pid: this.record.pid, cause: this.cause, reason });
    const survivors = this.kept ? [] : await this.terminateTree(options);
    const ended = survivors.length === 0 ? [await this.handle.exited] : [];
    const unproven = this.tree.denied.map((member) => refusedSignal(member));
    return { ended, survivors, unproven, durationMs: os.clock.monotonicMs() - beganMs };
  }

  #ladder(defaults: LadderOptions): LadderOptions {
    const { ladder = {}, stopSignal, signalFirst } = this.request;
    const { stdinEofMs = defaults.stdinEofMs, termMs = defaults.termMs } = ladder;
    const { killMs = defaults.killMs } = ladder;
    return { stdinEofMs, termMs, killMs, stopSignal, signalFirst };
  }

  /** Starts a termination of the tree, or hurries the running one; resolves to the survivors. */
  async terminateTree(options: EndOptions = {}): Promise<readonly Survivor[]> {
    const { os, emit, options: defaults } = this.#context;
    if (this.#ending !== undefined) {
      this.#ending.hurry(options);
    } else {
      this.#ending = new Termination(os, this, this.#ladder(defaults.ladder), options);
      if (this.state !== 'gone') this.state = 'ending';
      void this.#ending.done.then(({ survivors, forced }) => {
        this.forced ||= forced;
        // The termination is over: a caller who wants the survivors ended starts a new one.
        this.#ending = undefined;
        if (this.state === 'ending') this.state = this.running() ? 'running' : 'exited';
        this.isTreeGone = survivors.length === 0;
        if (this.isTreeGone) {
          this.#lookAgain();
          this.#onTreeGone?.();
        } else emit('survivors', { ...this.subject, survivors: this.#name(survivors) });
      });
    }
    return this.#name((await this.#ending.done).survivors);
  }

  /** Marks the process itself as exited. */
  exit(code: number | null, signal: NodeJS.Signals | null): void {
    if (this.state !== 'ending') this.state = 'exited';
    this.oomWatch?.stop();
    this.handle.exit(code, signal);
    this.request.signal?.removeEventListener('abort', this.#onAbort);
    this.#ending?.wake();
  }

  /** Marks the process as refused. */
  refuse(error: SupervisorError): void {
    this.state = 'refused';
    const { handle, takenBackBy } = this;
    if (takenBackBy === undefined) handle.refuse(error);
    else handle.cancel(error, takenBackBy);
    handle.settle({
      ...this.subject,
      pid: undefined,
      code: null,
      signal: null,
      cause: 'not-started',
      intentional: takenBackBy !== undefined,
      forced: false,
      durationMs: 0,
      pausedMs: 0,
      stderrTail: '',
      leftovers: [],
      error,
    });
  }

  /** Marks the process and its whole tree as dead. */
  settle(report: ExitReport): void {
    this.state = 'gone';
    this.handle.settle(report);
  }

  /** Reads the start time from the process table, if it was unknown in the tick of the spawn. */
  async identify(): Promise<void> {
    const table = await this.#context.os.processes.snapshot().catch(() => undefined);
    const found = table?.get(this.record.pid);
    if (!found?.startTime || !this.running()) return;
    this.tree.root.startTime = found.startTime;
    this.record = { ...this.record, startTime: found.startTime };
    this.registry.add(this.record);
  }

  get exited(): Promise<ExitReport> {
    return this.handle.exited;
  }

  /** True while a termination of the tree is running. */
  get ending(): boolean {
    return this.state === 'ending';
  }

  /** Resolves when no member of the tree is alive, a termination has begun, or the time is up. */
  async goneWithin(ms: number): Promise<void> {
    const { running } = this.#context.os.clock;
    const untilMs = running.monotonicMs() + ms;
    for (let pollMs = 20; !this.ending; pollMs = Math.min(1.5 * pollMs, GRACE_POLL_MS)) {
      const leftMs = untilMs - running.monotonicMs();
      if (leftMs <= 0 || (await this.tree.liveMembers()).length === 0) return;
      await sleep(Math.min(pollMs, leftMs), running);
    }
  }

  /** Resolves when no member of the tree is alive, however long that takes. */
  async untilGone(): Promise<void> {
    const { os, options } = this.#context;
    for (;;) {
      const alive = this.#ending
        ? (await this.#ending.done).survivors
        : await this.tree.liveMembers();
      if (alive.length === 0) return;
      if (this.#ending !== undefined) continue;
      await new Promise<void>((resolve) => {
        const cancel = os.clock.after(options.sweep.intervalMs, resolve);
        this.#lookAgain = () => {
          cancel();
          resolve();
        };
      });
    }
  }

  describe(): ProcessInfo {
    const { id, pid, kind, sessionId, command, cwd, startedAt } = this.record;
    // Only processes with a record are listed.
    const state = this.state as ProcessInfo['state'];
    const { holdsSlot, keys } = this;
    return { id, pid, kind, sessionId, command, cwd, startedAt, state, holdsSlot, keys };
  }

  readonly #onAbort = (): void => {
    // The SDK kills and then aborts, in one callback: the abort is the more specific cause.
    if (this.#killedByCaller) this.cause = 'aborted';
    void this.end('aborted');
  };

  #name(survivors: readonly { pid: number; command: string }[]): Survivor[] {
    const { id, sessionId } = this.subject;
    return survivors.map(({ pid, command }) => ({ id, sessionId, pid, command }));
  }
}

export function takenBack(): SupervisorError {
  return new SupervisorError(
    'ABORTED',
    'The request was taken back before it had a slot; nothing was started.',
  );
}
