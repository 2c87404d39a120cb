import type { Clock } from '../os/clock.ts';
import type { Os, ProcessEntry } from '../os/os.ts';
import type { EndReport, ExitCause, ExitReport } from '../reports.ts';
import { type LadderOptions, type LadderStep, planLadder, type StopSignal } from './ladder.ts';
import type { ProcessTree } from './tracked-tree.ts';

/** Longest pause between two checks for exits. */
const MAX_POLL_MS = 25;
/** The same where a check takes a child process (macOS, Windows). */
const COSTLY_POLL_MS = 100;
/** Time for which the known members are polled before a new snapshot is taken. */
const RESCAN_MS = 250;

/** The process whose tree is terminated. */
export interface TerminationTarget {
  readonly tree: Pick<ProcessTree, 'liveMembers' | 'signal' | 'isAlive'> &
    Partial<Pick<ProcessTree, 'root' | 'signalRoot'>>;
  /** True while the process itself is running. */
  running(): boolean;
  endStdin(): void;
  /** Running time at which stdin ended; `undefined` while it is open. */
  readonly stdinEndedAtMs: number | undefined;
}

export interface EndOptions {
  readonly force?: boolean | undefined;
  readonly deadlineMs?: number | undefined;
}

/** The result of a termination. */
export interface TerminationOutcome {
  readonly survivors: readonly ProcessEntry[];
  readonly forced: boolean;
}

/** One termination of a tree, shared by all callers who ask for it. */
export class Termination {
  readonly done: Promise<TerminationOutcome>;
  readonly #os: Os;
  readonly #target: TerminationTarget;
  readonly #killMs: number;
  readonly #stopSignal: StopSignal;
  readonly #steps: (Pick<LadderStep, 'send' | 'leaderOnly'> & { untilMs: number })[];
  readonly #politelySignalled = new Set<string>();
  #forced = false;
  #wake: () => void = () => undefined;

  constructor(os: Os, target: TerminationTarget, ladder: LadderOptions, options: EndOptions) {
    this.#os = os;
    this.#target = target;
    this.#killMs = ladder.killMs;
    this.#stopSignal = ladder.stopSignal ?? 'SIGTERM';
    const nowMs = os.clock.running.monotonicMs();
    const { stdinEndedAtMs } = target;
    this.#steps = planLadder(ladder, {
      stdin: target.running(),
      politeSignals: os.endTree === undefined,
      ...(stdinEndedAtMs === undefined ? {} : { stdinEndedForMs: nowMs - stdinEndedAtMs }),
      force: options.force ?? false,
      deadlineMs: options.deadlineMs,
    }).map(({ untilMs, ...step }) => ({ ...step, untilMs: nowMs + untilMs }));
    this.done = this.#run();
  }

  /** Applies a later, stricter request: force now, or an earlier deadline. */
  hurry({ force = false, deadlineMs }: EndOptions): void {
    const nowMs = this.#os.clock.running.monotonicMs();
    const killByMs = nowMs + (force ? this.#killMs : (deadlineMs ?? Number.POSITIVE_INFINITY));
    const politeByMs = force ? nowMs : killByMs - this.#killMs;
    for (const step of this.#steps) {
      step.untilMs = Math.min(step.untilMs, step.send === 'SIGKILL' ? killByMs : politeByMs);
    }
    this.#wake();
  }

  /** Ends the current pause, since the process itself has exited. */
  wake(): void {
    this.#wake();
  }

  async #run(): Promise<TerminationOutcome> {
    for (const step of this.#steps) {
      if (step.send === 'stdin-eof') {
        this.#target.endStdin();
        await this.#untilExit(step);
      } else if (step.leaderOnly) {
        await this.#signalLeader();
        await this.#untilExit(step);
      } else if (await this.#signalUntilGone(step)) {
        return { survivors: [], forced: this.#forced };
      }
    }
    const survivors = await this.#target.tree.liveMembers();
    return { survivors, forced: this.#forced };
  }

  /** Waits for the exit of the process itself. */
  async #untilExit(step: { untilMs: number }): Promise<void> {
    while (this.#target.running() && this.#leftMs(step) > 0) await this.#pause(this.#leftMs(step));
  }

  /** Signals the process itself; a second signal could mean something else to it. */
  async #signalLeader(): Promise<void> {
    const { tree } = this.#target;
    // Now, so that descendants are known which lose their parent.
    const members = await tree.liveMembers();
    const leader = members.find(({ pid }) => pid === tree.root?.pid);
    if (leader === undefined || !this.#target.running()) return;
    this.#isDue(this.#stopSignal, leader);
    tree.signalRoot?.(this.#stopSignal);
  }

  /**
   * Signals the tree and its new members until two snapshots in a row find nobody. Returns false if
   * the time is up before, however many have exited: a tree that keeps forking always has more.
   */
  async #signalUntilGone(step: Pick<LadderStep, 'send'> & { untilMs: number }): Promise<boolean> {
    const signal = step.send === 'SIGKILL' ? step.send : this.#stopSignal;
    let emptySnapshots = 0;
    for (let pauseMs = 0; ; pauseMs = Math.min(pauseMs + 1, MAX_POLL_MS)) {
      const members = await this.#target.tree.signal(signal, (member) =>
        this.#isDue(signal, member),
      );
      if (members.length === 0) {
        // A process may fork and exit while the snapshot is taken; a second one finds its child.
        if (++emptySnapshots === 2) return true;
        continue;
      }
      emptySnapshots = 0;
      this.#forced ||= signal === 'SIGKILL' && members.some(({ alive }) => alive);
      await this.#untilGone(members, step);
      const leftMs = this.#leftMs(step);
      if (leftMs <= 0) return false;
      // Skip the pause on SIGKILL, where members that keep forking have to be outrun.
      if (signal !== 'SIGKILL' && pauseMs > 2) await this.#pause(Math.min(pauseMs, leftMs));
    }
  }

  /** A polite signal goes to each process once, a forced one each time the process is seen. */
  #isDue(signal: NodeJS.Signals, member: ProcessEntry): boolean {
    if (signal === 'SIGKILL') return true;
    const key = `${member.pid} ${member.startTime}`;
    if (this.#politelySignalled.has(key)) return false;
    this.#politelySignalled.add(key);
    return true;
  }

  async #untilGone(members: readonly ProcessEntry[], step: { untilMs: number }): Promise<void> {
    const rescanAtMs = this.#os.clock.running.monotonicMs() + RESCAN_MS;
    const { read } = this.#os.processes;
    const { root } = this.#target.tree;
    const isOnlyRoot = root?.held && members.every(({ pid }) => pid === root.pid);
    for (let pollMs = read ? 1 : COSTLY_POLL_MS; ; pollMs = Math.min(1.5 * pollMs, MAX_POLL_MS)) {
      const leftMs = Math.min(
        this.#leftMs(step),
        rescanAtMs - this.#os.clock.running.monotonicMs(),
      );
      // Our own child reports its exit by itself.
      const tells = isOnlyRoot && this.#target.running();
      if (leftMs <= 0) return;
      if (!tells && !members.some((member) => this.#target.tree.isAlive(member))) return;
      await this.#pause(tells ? leftMs : Math.min(pollMs, leftMs));
      if (read === undefined || (tells && !this.#target.running())) return;
    }
  }

  #leftMs(step: { untilMs: number }): number {
    return step.untilMs - this.#os.clock.running.monotonicMs();
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#os.clock.running.after(ms, resolve, { keepAlive: true });
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }
}

/** A live process, as far as ending it goes. */
export interface EndableProcess {
  /** Settles when it and its tree are gone. */
  readonly exited: Promise<ExitReport>;
  readonly ending: boolean;
  /** Meant to live on when everything else is ended. */
  readonly outlivesHost: boolean;
  end(cause: ExitCause, options: EndOptions, reason: string | undefined): Promise<EndReport>;
  terminateTree(options: EndOptions): Promise<unknown>;
}

/**
 * Ends processes in reverse start order, within one shared deadline.
 *
 * Each begins its way down the ladder before those that started earlier.
 */
export async function endAll(
  inStartOrder: Iterable<EndableProcess>,
  cause: ExitCause,
  reason: string | undefined,
  clock: Clock,
  options: EndOptions = {},
): Promise<EndReport> {
  const beganMs = clock.monotonicMs();
  const newestFirst = [...inStartOrder].reverse();
  const reports = await Promise.all(newestFirst.map((live) => live.end(cause, options, reason)));
  return {
    ended: reports.flatMap((report) => report.ended),
    survivors: reports.flatMap((report) => report.survivors),
    unproven: reports.flatMap((report) => report.unproven),
    durationMs: clock.monotonicMs() - beganMs,
  };
}
