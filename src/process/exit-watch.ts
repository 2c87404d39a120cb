import type { Os, ProcessEntry } from '../os/os.ts';
import { isSameProcess } from '../tree/identity.ts';

export interface Watched extends Pick<ProcessEntry, 'pid' | 'startTime'> {
  readonly keepAlive: boolean;
  readonly everyMs: number;
}

/** Checks again and again whether a process is still there, until it has exited. */
export class ExitWatch {
  readonly #os: Os;
  readonly #process: Watched;
  readonly #onDeath: () => void;
  #cancel: () => void = () => undefined;
  #over = false;

  constructor(os: Os, process: Watched, onDeath: () => void) {
    this.#os = os;
    this.#process = process;
    this.#onDeath = onDeath;
    this.#again();
  }

  /** Stops looking: the process was let go. */
  stop(): void {
    this.#over = true;
    this.#cancel();
  }

  async look(): Promise<void> {
    this.#cancel();
    const isThere = await this.#isThere();
    if (this.#over) return;
    if (isThere) {
      this.#again();
      return;
    }
    this.#over = true;
    this.#onDeath();
  }

  #again(): void {
    this.#cancel();
    const { keepAlive, everyMs } = this.#process;
    this.#cancel = this.#os.clock.after(everyMs, () => void this.look(), { keepAlive });
  }

  async #isThere(): Promise<boolean> {
    const { read, snapshot } = this.#os.processes;
    try {
      const now = read ? read(this.#process.pid) : (await snapshot()).get(this.#process.pid);
      return now?.alive === true && isSameProcess(this.#process, now);
    } catch {
      // A failed snapshot does not prove that the process has exited.
      return true;
    }
  }
}
