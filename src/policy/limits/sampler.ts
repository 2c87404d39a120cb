import { sliced, turnOfLoop } from '../../os/clock.ts';
import type { Os, ProcessEntry, Usage } from '../../os/os.ts';
import type { LimitedProcess } from './limit.ts';

type SampledProcess = Pick<LimitedProcess, 'record' | 'tree'>;

/** The tree of one process at one moment. */
export interface Sample {
  /** The usage of each member of the tree that could be measured. */
  readonly usage: readonly (Usage & { readonly pid: number })[];
  readonly descendants: number;
  /** CPU time of the process itself since its start; `undefined` if it could not be measured. */
  readonly cpuTimeMs: number | undefined;
}

interface Watcher {
  readonly process: SampledProcess;
  readonly everyMs: number;
  dueMs: number;
  take(sample: Sample): void | Promise<void>;
}

/**
 * Measures the trees of all watched processes in rounds. Each round takes one snapshot of the
 * process table and one sample of all members. Without a watched process there is no timer.
 */
export class Sampler {
  readonly #os: Os;
  /** Read each time, since the host may change the interval. */
  readonly #sampling: { readonly intervalMs: number };
  readonly #watchers = new Set<Watcher>();
  #cancelTimer: (() => void) | undefined;
  #isInRound = false;

  constructor(os: Os, sampling: { readonly intervalMs: number }) {
    this.#os = os;
    this.#sampling = sampling;
  }

  /**
   * Measures a process repeatedly, at least once per `everyMs` and per common interval. Returns a
   * function that stops. The next round waits until `take` is done.
   */
  watch(process: SampledProcess, everyMs: number | undefined, take: Watcher['take']): () => void {
    const { intervalMs } = this.#sampling;
    const watcher = {
      process,
      everyMs: Math.min(everyMs ?? intervalMs, intervalMs),
      dueMs: 0,
      take,
    };
    this.#plan(watcher);
    this.#watchers.add(watcher);
    this.#schedule();
    return () => {
      this.#watchers.delete(watcher);
      this.#schedule();
    };
  }

  /** Due times lie on a common grid, so that processes with equal intervals share their rounds. */
  #plan(watcher: Watcher): void {
    const { everyMs, dueMs } = watcher;
    const next = (Math.floor(this.#os.clock.monotonicMs() / everyMs) + 1) * everyMs;
    // A timer may fire slightly early; its round is the one that was due.
    watcher.dueMs = next <= dueMs ? dueMs + everyMs : next;
  }

  #schedule(): void {
    this.#cancelTimer?.();
    if (this.#isInRound || this.#watchers.size === 0) return;
    const { clock } = this.#os;
    const dueMs = Math.min(...Array.from(this.#watchers, (watcher) => watcher.dueMs));
    this.#cancelTimer = clock.after(dueMs - clock.monotonicMs(), () => void this.#round());
  }

  async #round(): Promise<void> {
    this.#isInRound = true;
    const nowMs = this.#os.clock.monotonicMs();
    const due = [...this.#watchers].filter(({ dueMs }) => dueMs <= nowMs + 1);
    try {
      await this.#measure(due);
    } catch {
      // Without a snapshot this round measures nothing; the next one tries again.
    }
    for (const watcher of due) this.#plan(watcher);
    this.#isInRound = false;
    this.#schedule();
  }

  async #measure(due: readonly Watcher[]): Promise<void> {
    const { clock, processes } = this.#os;
    const table = await processes.snapshot();
    const trees = new Map<SampledProcess, readonly ProcessEntry[]>();
    // Other callers who wait for the same snapshot run first.
    await turnOfLoop();
    const rest = sliced(clock);
    for (const { process } of due) {
      await rest();
      if (!trees.has(process)) trees.set(process, process.tree.membersIn(table));
    }
    const members = [...trees.values()].flat();
    const usage = await this.#os.sample([...new Set(members.map(({ pid }) => pid))]);
    for (const watcher of due) {
      // The watcher may have been removed meanwhile.
      if (!this.#watchers.has(watcher)) continue;
      const { process, take } = watcher;
      await take(sampleOf(process, trees.get(process) ?? [], usage));
    }
  }
}

function sampleOf(
  { record }: SampledProcess,
  members: readonly ProcessEntry[],
  usage: ReadonlyMap<number, Usage>,
): Sample {
  const measured = members.flatMap(({ pid }) => {
    const one = usage.get(pid);
    return one === undefined ? [] : [{ pid, ...one }];
  });
  return {
    usage: measured,
    descendants: members.filter(({ pid }) => pid !== record.pid).length,
    cpuTimeMs: usage.get(record.pid)?.cpuTimeMs,
  };
}
