import type { ChildProcess } from 'node:child_process';
import type { Registry } from '../containment/registry.ts';
import type { Emit, ProcessSubject } from '../events.ts';
import type { Os, Usage } from '../os/os.ts';
import type { GapWatch } from '../os/running-time.ts';
import type { Budget, Spender } from '../policy/budget.ts';
import type { Speaker } from '../policy/conversations.ts';
import type { StreamActivity } from '../policy/limits/limit.ts';
import type { ProcessLimits } from '../policy/limits/limits.ts';
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
import { type Endable, Ending, type EndOptions, type EndTarget } from '../tree/termination.ts';
import { ProcessTree, refusedSignal } from '../tree/tracked-tree.ts';
import type { Handle, HandleControls, TerminateOptions } from './handle.ts';

/** The signals by which a caller ends a process; the others are between it and the process. */
const ENDING_SIGNALS: ReadonlySet<string> = new Set([
  ...['SIGTERM', 'SIGKILL', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGABRT'],
]);

const NO_USAGE: Usage = { rssBytes: 0, cpuPercent: 0, cpuTimeMs: 0 };

/** What a live process needs of its supervisor. */
export interface LiveContext {
  readonly os: Os;
  readonly emit: Emit;
  readonly options: {
    readonly ladder: LadderOptions;
    readonly sweep: { readonly intervalMs: number };
  };
}

/** One process from its launch to the death of its tree. */
export class LiveProcess implements EndTarget, Endable, HandleControls, Speaker, Spender {
  readonly handle: Handle;
  readonly subject: ProcessSubject;
  /** `undefined` for one that others have started. */
  readonly child: ChildProcess | undefined;
  readonly tree: ProcessTree;
  /** Only where it has streams, and somebody wants it counted. */
  readonly activity: StreamActivity | undefined;
  readonly startedAtMs: number;
  /** From its start to the death of its tree. */
  readonly gaps: GapWatch;
  /** Takes its limits off. */
  disarm: () => void = () => undefined;
  /** It has ended by itself, and what it left may live on: there is nothing to end any more. */
  kept = false;
  /** Its conversation is somebody else's by now: nothing more is written of it. */
  isForfeit = false;
  readonly holdsSlot: boolean;
  readonly budget: Budget | undefined;
  /** `undefined` where nobody has set any, as for an adopted process. */
  readonly limits: ProcessLimits | undefined;
  record: SupervisionRecord;
  /** Why it ends; written once, before the first signal. */
  cause: ExitCause | undefined;
  forced = false;
  /** Whether the last way down the ladder found nobody of the tree any more, maybe before the exit was told. */
  seenDead: boolean | undefined;
  stdinEndedAtMs: number | undefined;
  readonly #context: LiveContext;
  readonly #signal: AbortSignal | undefined;
  #ending: Ending | undefined;
  #killedByCaller = false;
  readonly #onSeenDead: (() => void) | undefined;
  #lookAgain: () => void = () => undefined;

  constructor(
    context: LiveContext,
    { handle, child, record, segment, signal, ...parts }: LiveParts,
  ) {
    this.#context = context;
    this.#signal = signal;
    this.handle = handle;
    this.child = child;
    this.activity = parts.activity;
    this.record = record;
    this.holdsSlot = parts.holdsSlot;
    this.budget = parts.budget;
    this.limits = parts.limits;
    this.#onSeenDead = parts.onSeenDead;
    this.subject = { id: record.id, kind: record.kind, sessionId: record.sessionId };
    this.startedAtMs = context.os.clock.monotonicMs();
    this.gaps = context.os.clock.running.watch();
    this.tree = new ProcessTree(context.os, {
      pid: record.pid,
      startTime: record.startTime,
      leadsGroup: record.group,
      held: child !== undefined,
      ...marksOf(segment),
    });
    // Without a stdin there is no end of it to wait for.
    if (!child?.stdin) this.stdinEndedAtMs = Number.NEGATIVE_INFINITY;
    child?.stdin?.once('finish', () => {
      this.stdinEndedAtMs = context.os.clock.running.monotonicMs();
    });
    signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  running(): boolean {
    return !this.handle.over;
  }

  /** Meant to live on: `stop` passes it by. */
  get outlivesHost(): boolean {
    return this.record.outlivesHost === true;
  }

  /** It was to be ended, and was not: the next sweep tries again. */
  get survived(): boolean {
    return this.seenDead === false;
  }

  get countsToCap(): boolean {
    return !this.outlivesHost && this.child !== undefined;
  }

  endStdin(): void {
    this.handle.endStdin();
  }

  kill(signal: NodeJS.Signals): boolean {
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

  terminate({ reason, ...options }: TerminateOptions): Promise<EndReport> {
    return this.end('terminated', options, reason);
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

  async endAsDuplicate(): Promise<readonly Survivor[]> {
    const reason = 'another request resumes its conversation';
    return (await this.end('duplicate', {}, reason)).survivors;
  }

  /** Sends the tree down the ladder, or hurries it on its way; resolves to who survived. */
  async climbDown(options: EndOptions = {}): Promise<readonly Survivor[]> {
    const { os, emit, options: defaults } = this.#context;
    if (this.#ending !== undefined) {
      this.#ending.hurry(options);
    } else {
      this.#ending = new Ending(os, this, defaults.ladder, options);
      const ending = this.#ending;
      void ending.done.then(({ survivors, forced }) => {
        this.forced ||= forced;
        // The way down is over: who still wants the survivors ended starts anew.
        this.#ending = undefined;
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
  wake(): void {
    this.#signal?.removeEventListener('abort', this.#onAbort);
    this.#ending?.wake();
  }

  /** Learns the start time from the process table, where the spawn's own tick could not tell it. */
  async identify(registry: Pick<Registry, 'add'>): Promise<void> {
    const table = await this.#context.os.processes.look().catch(() => undefined);
    const found = table?.get(this.record.pid);
    if (!found?.startTime || !this.running()) return;
    this.tree.root.startTime = found.startTime;
    this.record = { ...this.record, startTime: found.startTime };
    registry.add(this.record);
  }

  get exited(): Promise<ExitReport> {
    return this.handle.exited;
  }

  /** Whether somebody is ending the tree at this moment. */
  get ending(): boolean {
    return this.#ending !== undefined;
  }

  /** Resolves when nothing of the tree is alive any more, however long that takes. */
  async treeDeath(): Promise<void> {
    const { os, options } = this.#context;
    for (;;) {
      const alive = this.#ending ? (await this.#ending.done).survivors : await this.tree.look();
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
    const state = this.ending ? 'ending' : this.running() ? 'running' : 'exited';
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

/** What a launch has produced. */
export interface LiveParts {
  readonly handle: Handle;
  readonly child: ChildProcess | undefined;
  readonly activity?: StreamActivity | undefined;
  readonly record: SupervisionRecord;
  /** Our segment in the process's cookie. */
  readonly segment: string;
  readonly signal: AbortSignal | undefined;
  readonly holdsSlot: boolean;
  readonly budget?: Budget;
  readonly limits?: ProcessLimits;
  /** Called when a way down the ladder has found nobody any more. */
  readonly onSeenDead?: () => void;
}
