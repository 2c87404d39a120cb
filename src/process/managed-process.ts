import type { ChildProcess } from 'node:child_process';
import type { Registry } from '../containment/registry.ts';
import { SupervisorError } from '../errors.ts';
import type { Emit, ProcessSubject } from '../events.ts';
import type { Os, Usage } from '../os/os.ts';
import type { GapWatch } from '../os/running-time.ts';
import type { Budget } from '../policy/budget.ts';
import type { ConversationLease, ConversationRequest } from '../policy/conversations.ts';
import type { StreamActivity } from '../policy/limits/limit.ts';
import type { ProcessLimits } from '../policy/limits/limits.ts';
import type { Slot } from '../policy/pool.ts';
import type { Session } from '../policy/session.ts';
import type {
  EndReport,
  ExitCause,
  ExitReport,
  ProcessInfo,
  ProcessInspection,
  ProcessName,
  Survivor,
} from '../reports.ts';
import type { SupervisionRecord } from '../store/formats.ts';
import type { LadderOptions } from '../tree/ladder.ts';
import { marksOf } from '../tree/marks.ts';
import { type EndOptions, Termination } from '../tree/termination.ts';
import { ProcessTree, refusedSignal } from '../tree/tracked-tree.ts';
import { Handle, type TerminateOptions } from './handle.ts';
import type { CheckedRequest } from './request.ts';
import { pipedOf } from './stdio-options.ts';

/** The signals by which a caller ends a process; the others are between it and the process. */
const ENDING_SIGNALS: ReadonlySet<string> = new Set([
  ...['SIGTERM', 'SIGKILL', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGABRT'],
]);

const NO_USAGE: Usage = { rssBytes: 0, cpuPercent: 0, cpuTimeMs: 0 };

/** What a process needs of its supervisor. */
export interface ProcessContext {
  readonly os: Os;
  readonly emit: Emit;
  readonly options: {
    readonly ladder: LadderOptions;
    readonly sweep: { readonly intervalMs: number };
  };
}

/** `refused`: it was not started. `gone`: it and its whole tree are dead. */
export type ProcessState =
  | 'new'
  | 'queued'
  | 'starting'
  | ProcessInfo['state']
  | 'refused'
  | 'gone';

/** What a launch, or an adoption, has produced. */
export interface RunningParts {
  /** `undefined` for one that others have started. */
  readonly child: ChildProcess | undefined;
  readonly record: SupervisionRecord;
  readonly registry: Registry;
  /** What names it in the cookies of its tree. Default: our own segment. */
  readonly segment?: string;
  readonly budget?: Budget;
  /** Called when a way down the ladder has found nobody any more. */
  readonly onSeenDead?: () => void;
}

/** One process from its request to the death of its tree. */
export class ManagedProcess {
  readonly id: string;
  readonly request: CheckedRequest;
  readonly handle: Handle;
  readonly subject: ProcessSubject;
  readonly holdsSlot: boolean;
  state: ProcessState = 'new';

  // What it was granted.
  slot: Slot | undefined;
  readonly leases: ConversationLease[] = [];
  session: Session | undefined;
  /** Which conversation it is to run, if that is known beforehand. */
  conversation: ConversationRequest | undefined;
  /** The caller took the request back. */
  takenBackBy: NodeJS.Signals | undefined;

  // From its start on.
  child: ChildProcess | undefined;
  record!: SupervisionRecord;
  registry!: Registry;
  tree!: ProcessTree;
  startedAtMs = 0;
  /** From its start to the death of its tree. */
  gaps!: GapWatch;
  budget: Budget | undefined;
  /** Only where it has streams, and somebody wants it counted. */
  activity: StreamActivity | undefined;
  /** Takes its limits off. */
  disarm: () => void = () => undefined;
  stdinEndedAtMs: number | undefined;

  // Of its end.
  /** Why it ends; written once, before the first signal. */
  cause: ExitCause | undefined;
  forced = false;
  /** It has ended by itself, and what it left may live on: there is nothing to end any more. */
  kept = false;
  /** Its conversation is somebody else's by now: nothing more is written of it. */
  isForfeit = false;
  /** Whether the last way down the ladder found nobody of the tree any more, maybe before the exit was told. */
  seenDead: boolean | undefined;
  readonly #context: ProcessContext;
  #refuseQueued: (error: SupervisorError) => void = () => undefined;
  #ending: Termination | undefined;
  #killedByCaller = false;
  #onSeenDead: (() => void) | undefined;
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

  /** It waits; `refuse` takes it out of the queue. */
  queue(refuse: (error: SupervisorError) => void): void {
    this.state = 'queued';
    this.#refuseQueued = refuse;
  }

  /** Refuses it, unless it has left its queue. */
  leaveQueue(error: SupervisorError): void {
    if (this.state === 'queued') this.#refuseQueued(error);
  }

  /** It runs. */
  run({ child, record, registry, ...parts }: RunningParts): void {
    const { os } = this.#context;
    const { outlivesHost, signal } = this.request;
    this.state = 'running';
    this.child = child;
    this.record = record;
    this.registry = registry;
    this.budget = parts.budget;
    this.#onSeenDead = parts.onSeenDead;
    this.startedAtMs = os.clock.monotonicMs();
    this.gaps = os.clock.running.watch();
    this.tree = new ProcessTree(os, {
      pid: record.pid,
      startTime: record.startTime,
      leadsGroup: record.group,
      held: child !== undefined,
      ...marksOf(parts.segment ?? registry.segment(this.id, outlivesHost)),
    });
    // Without a stdin there is no end of it to wait for.
    if (!child?.stdin) this.stdinEndedAtMs = Number.NEGATIVE_INFINITY;
    child?.stdin?.once('finish', () => {
      this.stdinEndedAtMs = os.clock.running.monotonicMs();
    });
    signal?.addEventListener('abort', this.#onAbort, { once: true });
    for (const lease of this.leases) lease.attach(this);
  }

  /** Gives back what it was granted. */
  release(): void {
    for (const lease of this.leases) lease.release();
    this.slot?.release();
  }

  /** Whether the process itself has not exited yet. */
  running(): boolean {
    return !this.handle.over;
  }

  /** Meant to live on: `stop` passes it by. */
  get outlivesHost(): boolean {
    return this.record.outlivesHost === true;
  }

  /** `undefined` for one that others have started, to which nobody has set any. */
  get limits(): ProcessLimits | undefined {
    return this.child && this.request.limits;
  }

  /** It was to be ended, and was not: the next sweep tries again. */
  get survived(): boolean {
    return this.seenDead === false;
  }

  /** Whether a hard cap may count it: others' and those meant to live on are not ours to bound. */
  get countsToCap(): boolean {
    return !this.outlivesHost && this.child !== undefined;
  }

  endStdin(): void {
    this.handle.endStdin();
  }

  /** Signals the process; takes it out of the queue while it waits. Says whether there was anything to do. */
  kill(signal: NodeJS.Signals): boolean {
    if (this.state === 'queued') {
      this.takenBackBy = signal;
      this.leaveQueue(takenBack());
      return true;
    }
    return this.#isStarted && this.#signal(signal);
  }

  #signal(signal: NodeJS.Signals): boolean {
    const { os } = this.#context;
    const { rootIsThere } = this.tree;
    // A child that is reaped may have to wait until that is told, and its number may be another's by then.
    const isGone = rootIsThere === false && this.record.startTime !== undefined;
    const isThere = this.child === undefined ? rootIsThere : !isGone;
    if (isThere === false) return false;
    if (ENDING_SIGNALS.has(signal)) {
      this.#killedByCaller ||= this.cause === undefined;
      // Windows: every signal is a forced end of this one process, so its tree must go first.
      const force = signal === 'SIGKILL' || os.endTree !== undefined;
      // Where only a look tells whether it is there, the ladder takes it.
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

  /** Ends the process and its tree, by the ladder that is already under way if there is one. */
  async end(cause: ExitCause, options: EndOptions = {}, reason?: string): Promise<EndReport> {
    const { os, emit } = this.#context;
    const beganMs = os.clock.monotonicMs();
    this.cause ??= cause;
    if (this.running() && !this.ending)
      emit('ending', { ...this.subject, pid: this.record.pid, cause: this.cause, reason });
    const survivors = this.kept ? [] : await this.climbDown(options);
    const ended = survivors.length === 0 ? [await this.handle.exited] : [];
    const unproven = this.tree.denied.map((member) => refusedSignal(member));
    return { ended, survivors, unproven, durationMs: os.clock.monotonicMs() - beganMs };
  }

  /** Sends the tree down the ladder, or hurries it on its way; resolves to who survived. */
  async climbDown(options: EndOptions = {}): Promise<readonly Survivor[]> {
    const { os, emit, options: defaults } = this.#context;
    if (this.#ending !== undefined) {
      this.#ending.hurry(options);
    } else {
      this.#ending = new Termination(os, this, defaults.ladder, options);
      if (this.state !== 'gone') this.state = 'ending';
      void this.#ending.done.then(({ survivors, forced }) => {
        this.forced ||= forced;
        // The way down is over: who still wants the survivors ended starts anew.
        this.#ending = undefined;
        if (this.state === 'ending') this.state = this.running() ? 'running' : 'exited';
        this.seenDead = survivors.length === 0;
        if (this.seenDead) {
          this.#lookAgain();
          this.#onSeenDead?.();
        } else emit('survivors', { ...this.subject, survivors: this.#name(survivors) });
      });
    }
    return this.#name((await this.#ending.done).survivors);
  }

  /** The process itself has exited. */
  exit(code: number | null, signal: NodeJS.Signals | null): void {
    if (this.state !== 'ending') this.state = 'exited';
    this.handle.exit(code, signal);
    this.request.signal?.removeEventListener('abort', this.#onAbort);
    this.#ending?.wake();
  }

  /** It was never started, and will not be. */
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

  /** It and its whole tree are dead. */
  settle(report: ExitReport): void {
    this.state = 'gone';
    this.handle.settle(report);
  }

  /** Learns the start time from the process table, where the spawn's own tick could not tell it. */
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

  /** Whether somebody is ending the tree at this moment. */
  get ending(): boolean {
    return this.state === 'ending';
  }

  /** Resolves when nothing of the tree is alive any more, however long that takes. */
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
    // Nobody lists what has no record.
    const state = this.state as ProcessInfo['state'];
    return { id, pid, kind, sessionId, command, cwd, startedAt, state, holdsSlot: this.holdsSlot };
  }

  /** Adds what the tree costs, from a look at it and a sample of its members. */
  inspect(members: readonly ProcessName[], usage: ReadonlyMap<number, Usage>): ProcessInspection {
    const total = (part: (of: Usage) => number): number =>
      members.reduce((sum, { pid }) => sum + part(usage.get(pid) ?? NO_USAGE), 0);
    return {
      ...this.describe(),
      ageMs: this.#context.os.clock.monotonicMs() - this.startedAtMs,
      descendants: members
        .filter(({ pid }) => pid !== this.record.pid)
        .map(({ pid, command }) => ({ pid, command })),
      rssBytes: total((of) => of.rssBytes),
      cpuPercent: total((of) => of.cpuPercent),
    };
  }

  readonly #onAbort = (): void => {
    // The SDK kills and then aborts, in one callback: of the caller's two words the abort says more.
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
