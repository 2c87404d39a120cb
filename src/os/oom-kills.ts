import type { Timers } from './running-time.ts';
import { readSmallFile } from './small-file.ts';

/** Follows one process, to tell whether the kernel killed it for want of memory. */
export interface OomWatch {
  /** True if a recent kill in its control group is no other process's; takes it. */
  claim(): boolean;
  stop(): void;
}

/** The kernel's counters of processes that it killed for want of memory. */
export interface OomCounters {
  /** The counter of the control group that holds a process, else that of the machine. */
  counterOf(pid: number): string | undefined;
  read(counter: string): number | undefined;
}

/** A program that moves itself to another control group does it at its start: pauses between looks. */
const MOVED_AFTER_MS = [20, 180] as const;
/**
 * A kill is forgotten after one to two of these. It was that of an unsupervised process, such as a
 * compiler that an agent has started.
 */
const FORGET_MS = 10_000;

interface Counter {
  watches: number;
  /** Its value at the last look. */
  seen: number;
  /** Kills up to this one are claimed or forgotten. */
  settled: number;
}

/** Divides the kernel's kills among the processes of this host, each to one. */
export class OomKills {
  readonly #timers: Pick<Timers, 'after'>;
  readonly #counters: OomCounters;
  readonly #watched = new Map<string, Counter>();

  constructor(timers: Pick<Timers, 'after'>, counters: OomCounters) {
    this.#timers = timers;
    this.#counters = counters;
  }

  /** Begins with the start of a process: nobody can tell the control group of one that has exited. */
  watch(pid: number): OomWatch {
    // One that is exiting is in the root group (v1), so those found before stay.
    const found = new Map<string, Counter>();
    const look = (): void => {
      const name = this.#counters.counterOf(pid);
      const counter = name === undefined || found.has(name) ? undefined : this.#hold(name);
      if (name !== undefined && counter !== undefined) found.set(name, counter);
    };
    let cancel = (): void => undefined;
    const lookAfter = ([ms, ...later]: readonly number[]): void => {
      look();
      if (ms !== undefined) cancel = this.#timers.after(ms, () => lookAfter(later));
    };
    lookAfter(MOVED_AFTER_MS);
    return {
      claim: () => [...found].some(([name, counter]) => this.#claim(name, counter)),
      stop: () => {
        cancel();
        for (const counter of found.values()) counter.watches--;
        found.clear();
      },
    };
  }

  #claim(name: string, counter: Counter): boolean {
    if ((this.#counters.read(name) ?? 0) <= counter.settled) return false;
    counter.settled++;
    return true;
  }

  /** A counter that is watched already is not read again: a read takes a tenth of a millisecond. */
  #hold(name: string): Counter | undefined {
    const known = this.#watched.get(name);
    if (known !== undefined && known.watches > 0) {
      known.watches++;
      return known;
    }
    const count = this.#counters.read(name);
    if (count === undefined) return undefined;
    const counter = { watches: 1, seen: count, settled: count };
    if (this.#watched.size === 0) this.#forgetLater();
    this.#watched.set(name, counter);
    return counter;
  }

  /** Two steps: a host that stood still finds kill and exit in the same moment. */
  #forgetLater(): void {
    this.#timers.after(FORGET_MS, () => {
      for (const [name, counter] of this.#watched) {
        if (counter.watches === 0) {
          this.#watched.delete(name);
          continue;
        }
        counter.settled = Math.max(counter.settled, counter.seen);
        counter.seen = this.#counters.read(name) ?? counter.seen;
      }
      if (this.#watched.size > 0) this.#forgetLater();
    });
  }
}

/**
 * Lists the counters for the text of `/proc/PID/cgroup`, best first. A container may see its own
 * group where the root group is mounted.
 */
export function countersFor(cgroups: string): readonly string[] {
  const v1 = /^\d+:(?:[^:\n]*,)?memory(?:,[^:\n]*)?:(.*)$/m.exec(cgroups)?.[1];
  const v2 = /^0::(.*)$/m.exec(cgroups)?.[1];
  const files = (mount: string, group: string, file: string): string[] => {
    const own = group === '/' ? [] : [`${mount}${group}/${file}`];
    return [...own, `${mount}/${file}`];
  };
  if (v1 !== undefined)
    return [...files('/sys/fs/cgroup/memory', v1, 'memory.oom_control'), MACHINE];
  return [...(v2 === undefined ? [] : files('/sys/fs/cgroup', v2, 'memory.events')), MACHINE];
}

const MACHINE = '/proc/vmstat';

/** Reads `oom_kill` in memory.oom_control (v1), memory.events (v2) or vmstat; Linux ≥ 4.13 has it. */
export function parseOomKills(text: string): number | undefined {
  const count = /^oom_kill (\d+)$/m.exec(text)?.[1];
  return count === undefined ? undefined : Number(count);
}

const count = (counter: string): number | undefined => parseOomKills(readSmallFile(counter));

/** Reads the counters from `/proc` and `/sys/fs/cgroup`. */
export function linuxOomCounters(): OomCounters {
  // Most processes are in the group of the one before.
  let last: { readonly cgroups: string; readonly counter: string | undefined } | undefined;
  return {
    counterOf(pid) {
      const cgroups = readSmallFile(`/proc/${pid}/cgroup`);
      if (last?.cgroups !== cgroups) {
        const counter = countersFor(cgroups).find((each) => count(each) !== undefined);
        last = { cgroups, counter };
      }
      return last.counter;
    },
    read: count,
  };
}
