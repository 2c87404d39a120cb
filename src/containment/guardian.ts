import type { Guard, GuardedCleanup, GuardRequest, Os } from '../os/os.ts';
import { recordNumber } from '../tree/rlimit-tag.ts';

/** State of a guardian; `unneeded` where the system itself ends a dead host's children. */
export type GuardianState = 'guarding' | 'starting' | 'stopped' | 'missing' | 'off' | 'unneeded';

/** Names a record to the guardian as its cookie and as its tag do. */
const spareLine = (id: string): string =>
  `spare ${id} ${String(recordNumber(id)).padStart(6, '0')}`;

/** Minimum time between two starts of a guardian, in ms, whatever ended it. */
const RESTART_MS = 1000;

/**
 * The helper process that outlives the host just long enough to end the host's processes.
 *
 * The host reports every process it starts. The guardian finds all others by the host's cookie or tag.
 */
export class Guardian {
  /** Resolves when the guardian is at work, or when none can be started. */
  readonly ready: Promise<void>;
  readonly #os: Os;
  readonly #request: GuardRequest;
  readonly #warn: (message: string, cause?: unknown) => void;
  readonly #groups = new Map<number, string | undefined>();
  readonly #cleanups = new Map<
    string,
    { readonly key: number; readonly cleanup: GuardedCleanup }
  >();
  readonly #spared = new Set<string>();
  #lastKey = 0;
  #guard: Guard | undefined;
  #disarmed = false;
  /** True if the guardian was stopped (SIGSTOP) at the last review. */
  #stopped = false;
  /** Result of the last start. Once a guardian was at work, a lost one is replaced until a start succeeds. */
  #last: 'none' | 'guards' | 'lost' | 'failed' = 'none';

  constructor(os: Os, request: GuardRequest, warn: (message: string, cause?: unknown) => void) {
    this.#os = os;
    this.#request = request;
    this.#warn = warn;
    this.ready = this.#start();
  }

  describe(): { readonly state: GuardianState; readonly pid: number | undefined } {
    return { state: this.#state(), pid: this.#guard?.pid };
  }

  /** Warns of a stopped guardian, once per stop: it would not notice the host's death. */
  review(): void {
    const stopped = this.#state() === 'stopped';
    if (stopped && !this.#stopped)
      this.#warn(
        `The guardian (pid ${this.#guard?.pid}) is stopped: if this host is killed, its processes live on. Send it SIGCONT.`,
      );
    this.#stopped = stopped;
  }

  #state(): GuardianState {
    if (this.#guard === undefined) return 'missing';
    if (this.#last !== 'guards') return 'starting';
    return this.#guard.isStopped?.() ? 'stopped' : 'guarding';
  }

  register(pgid: number, startTime: string | undefined): void {
    this.#groups.set(pgid, startTime);
    this.#guard?.write(`+ ${pgid} ${startTime ?? ''}`);
  }

  /** Forgets an empty group, unless another own process has its number by now. */
  forget(pgid: number, startTime: string | undefined): void {
    if (this.#groups.get(pgid) === startTime && this.#groups.delete(pgid))
      this.#guard?.write(`- ${pgid}`);
  }

  /** Leaves the tree of a record alone from now on, whatever marks its processes have. */
  spare(id: string): void {
    this.#spared.add(id);
    this.#guard?.write(spareLine(id));
  }

  /** Lets the guardian run a command if the host dies before {@link cleanedUp}. */
  addCleanup(id: string, cleanup: GuardedCleanup): void {
    const key = ++this.#lastKey;
    this.#cleanups.set(id, { key, cleanup });
    this.#guard?.addCleanup(key, cleanup);
  }

  cleanedUp(id: string): void {
    const found = this.#cleanups.get(id);
    if (found !== undefined && this.#cleanups.delete(id))
      this.#guard?.write(`cleaned ${found.key}`);
  }

  /** Ends the guardian, and lets all processes that it guarded live. */
  disarm(): void {
    this.#disarmed = true;
    this.#guard?.write('disarm');
  }

  async #start(): Promise<void> {
    const startedAtMs = this.#os.clock.monotonicMs();
    try {
      this.#guard = this.#os.guard?.(this.#request);
      this.#guard?.onExit(() => this.#onExit(startedAtMs));
      for (const group of this.#groups) this.register(...group);
      for (const id of this.#spared) this.#guard?.write(spareLine(id));
      for (const { key, cleanup } of this.#cleanups.values()) this.#guard?.addCleanup(key, cleanup);
      await this.#guard?.ready;
      this.#last = 'guards';
    } catch (error) {
      this.#guard = undefined;
      const message =
        'The guardian could not be started: if this host is killed, its processes live on.';
      if (this.#last !== 'failed') this.#warn(message, error);
      // A first start that failed would fail again.
      if (this.#last === 'none') return;
      this.#last = 'failed';
      this.#startLater(startedAtMs);
    }
  }

  #onExit(startedAtMs: number): void {
    this.#guard = undefined;
    // A guardian that was not at work yet is reported by its start.
    if (this.#disarmed || this.#last !== 'guards') return;
    this.#last = 'lost';
    this.#warn('The guardian died and is started again.');
    this.#startLater(startedAtMs);
  }

  #startLater(startedAtMs: number): void {
    const lifeMs = this.#os.clock.monotonicMs() - startedAtMs;
    this.#os.clock.after(RESTART_MS - lifeMs, () => {
      if (!this.#disarmed) void this.#start();
    });
  }
}
