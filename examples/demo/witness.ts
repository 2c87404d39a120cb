// The demo's own look at who is alive. It asks the system, not the supervisor.
import { findByMarker, isAlive, type ProcessKey, readRow } from '../../kit/process-table.ts';

/** The environment variable that the demo gives to its agents, and that all their descendants inherit. */
export const MARKER = 'AGENT_SUPERVISOR_DEMO';

export interface WitnessOptions {
  /** The value of {@link MARKER} in this run. */
  readonly marker: string;
  /** For systems without /proc: tells whether a pid is alive. */
  readonly isProcessAlive: (pid: number) => boolean;
  /** @default process.platform === 'linux' */
  readonly hasProc?: boolean;
}

/** Remembers every process of the run that it sees, and says which of them are alive at the end. */
export class Witness {
  readonly #options: WitnessOptions;
  readonly #hasProc: boolean;
  readonly #seen = new Map<string, ProcessKey>();

  constructor(options: WitnessOptions) {
    this.#options = options;
    this.#hasProc = options.hasProc ?? process.platform === 'linux';
  }

  /** How many processes it has seen alive so far: a check that never saw anyone proves nothing. */
  get seen(): number {
    return this.#seen.size;
  }

  /** Looks around while agents run. `pids` are added to what the marker tells. */
  look(pids: Iterable<number>): void {
    for (const key of this.#marked()) this.#remember(key);
    for (const pid of pids) {
      const key = this.#hasProc ? readRow(pid) : { pid, startTime: '' };
      if (key !== undefined) this.#remember(key);
    }
  }

  /** The pids of all that is alive: who carries the marker, and whoever was seen before. */
  survivors(): number[] {
    const remembered = [...this.#seen.values()].filter((key) =>
      this.#hasProc ? isAlive(key) : this.#options.isProcessAlive(key.pid),
    );
    return [...new Set([...this.#marked(), ...remembered].map(({ pid }) => pid))];
  }

  #marked(): ProcessKey[] {
    return this.#hasProc ? findByMarker(MARKER, this.#options.marker) : [];
  }

  #remember({ pid, startTime }: ProcessKey): void {
    this.#seen.set(`${pid} ${startTime}`, { pid, startTime });
  }
}
