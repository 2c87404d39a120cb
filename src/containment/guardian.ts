import type { Guard, GuardRequest, Os } from '../os/os.ts';

/** What became of a guardian; `unneeded` where the system itself ends a dead host's children. */
export type GuardianState = 'guarding' | 'starting' | 'stopped' | 'missing' | 'off' | 'unneeded';

/** A guardian is started at most once in this time, whatever ends it. */
const RESTART_MS = 1000;

/**
 * The helper that outlives the host just long enough to end what the host left.
 *
 * It is told of every process we start; what it is not told of it finds by our cookie or tag.
 */
export class Guardian {
  /** Resolves when it guards, or when there is none to be had. */
  readonly ready: Promise<void>;
  readonly #os: Os;
  readonly #request: GuardRequest;
  readonly #warn: (message: string, cause?: unknown) => void;
  readonly #groups = new Map<number, string | undefined>();
  #guard: Guard | undefined;
  #disarmed = false;
  /** Whether it was stopped at the last review. */
  #stopped = false;
  /** What became of the last start: where one has guarded, another one is tried for until it does. */
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

  /** Warns, once a stop, of a guardian that somebody has stopped: it would not notice our death. */
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

  /** Forgets a group that is empty, unless its number has become another one's of ours meanwhile. */
  forget(pgid: number, startTime: string | undefined): void {
    if (this.#groups.get(pgid) === startTime && this.#groups.delete(pgid))
      this.#guard?.write(`- ${pgid}`);
  }

  /** Ends the guardian and lets everything live that it guarded. */
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
      await this.#guard?.ready;
      this.#last = 'guards';
    } catch (error) {
      this.#guard = undefined;
      const message =
        'The guardian could not be started: if this host is killed, its processes live on.';
      if (this.#last !== 'failed') this.#warn(message, error);
      // One that never guarded would not guard the next time either.
      if (this.#last === 'none') return;
      this.#last = 'failed';
      this.#startLater(startedAtMs);
    }
  }

  #onExit(startedAtMs: number): void {
    this.#guard = undefined;
    // What has not guarded yet is told of by its start.
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
