import { closeSync, constants, openSync, rmSync, writeSync } from 'node:fs';
import type { LivenessSocket } from '../os/liveness-socket.ts';
import type { HeartbeatTimes, Os } from '../os/os.ts';
import {
  createHeartbeat,
  type HeartbeatContent,
  heartbeatText,
  isGivenUp,
  newHeartbeatId,
  removeHeartbeat,
} from '../store/heartbeat-file.ts';
import { heartbeatPath, heartbeatSocket } from '../store/layout.ts';

export interface HeartbeatOptions {
  readonly os: Os;
  readonly times: HeartbeatTimes;
  readonly folder: string;
  /** Default: a new id. */
  readonly id?: string;
  /** Time for which the guardian may be at work after this host's death, in ms. */
  readonly graceMs: number;
  /** Tells whether a process runs or a conversation is locked; otherwise nothing is written. */
  isNeeded(): boolean;
  /**
   * Called when other hosts took this one for dead, `silentMs` after its last beat.
   *
   * There is a new heartbeat by then.
   */
  givenUp(silentMs: number): void;
  warn(message: string, error: unknown): void;
}

/**
 * Shows other hosts that this process is alive.
 *
 * On the same kernel they ask a socket, which refuses connections after this host's death. Everywhere else
 * they watch a file that changes.
 */
export class Heartbeat {
  readonly #options: HeartbeatOptions;
  #id: string;
  #beats = 0;
  #beatenAtMs: number;
  #socket: LivenessSocket | undefined;
  #socketKey: string | undefined;
  /** True if the guardian holds the socket as well. */
  #isHeld = false;
  #cancel: () => void = () => undefined;
  #isIntact = true;
  #isOpen = false;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
    this.#id = options.id ?? newHeartbeatId();
    this.#beatenAtMs = options.os.clock.monotonicMs();
  }

  /** The id of this heartbeat in every file that this host writes. */
  get id(): string {
    return this.#id;
  }

  /**
   * Starts the heartbeat, and returns the socket's descriptor for the guardian to hold.
   *
   * Held by the guardian, the socket refuses only after the guardian's end.
   */
  open(): number | undefined {
    this.#isOpen = true;
    this.#listen();
    const fd = this.#options.graceMs > 0 ? this.#socket?.fd : undefined;
    this.#isHeld = fd !== undefined;
    this.#attempt(() => this.#create());
    this.#again();
    return fd;
  }

  /**
   * Beats at once if a beat is overdue, as after a stop.
   *
   * Call it before anything is written in this host's name.
   */
  catchUp(): void {
    if (this.#isOpen && this.#silentMs >= 2 * this.#options.times.beatMs) this.#beat();
  }

  /** Ends the heartbeat; as a witness its socket stays, and refuses from the end of this process on. */
  close({ isWitness = false } = {}): void {
    this.#isOpen = false;
    this.#cancel();
    if (isWitness && this.#socket !== undefined) return;
    this.#attempt(() => removeHeartbeat(this.#options.folder, this.#id));
    this.#socket?.close();
  }

  get #silentMs(): number {
    return this.#options.os.clock.monotonicMs() - this.#beatenAtMs;
  }

  #again(): void {
    const { os, times } = this.#options;
    this.#cancel = os.clock.after(times.beatMs, () => {
      this.#again();
      if (this.#options.isNeeded()) this.#beat();
    });
  }

  #beat(): void {
    const { folder, os, times } = this.#options;
    const silentMs = this.#silentMs;
    let isThere = false;
    this.#attempt(() => {
      this.#listen();
      isThere = this.#rewrite();
      // The file was removed. A heartbeat that did not change for so long was given up.
      const wasGivenUp =
        !isThere && (silentMs >= times.giveUpMs || isGivenUp(folder, this.#id, os));
      if (wasGivenUp) this.#startAnew(silentMs);
      else if (!isThere) this.#create();
    });
  }

  #startAnew(silentMs: number): void {
    const { folder, givenUp } = this.#options;
    rmSync(heartbeatSocket(folder, this.#id), { force: true });
    this.#socket?.close();
    this.#socket = undefined;
    this.#isHeld = false;
    this.#id = newHeartbeatId();
    this.#listen();
    this.#create();
    givenUp(silentMs);
  }

  #create(): void {
    const { folder, os } = this.#options;
    createHeartbeat(folder, this.#id, this.#content(), os);
    this.#beatenAtMs = os.clock.monotonicMs();
  }

  /** Writes the next beat into the existing file; `false` if there is none. */
  #rewrite(): boolean {
    const { folder, os } = this.#options;
    const path = heartbeatPath(folder, this.#id);
    let fd: number;
    try {
      // Not replaced: a host that gives it up has moved it away, and must not find a new file.
      fd = openSync(path, constants.O_WRONLY | (constants.O_NOFOLLOW ?? 0));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
      throw error;
    }
    try {
      // The text always has the same length: nothing of the previous beat is left behind it.
      writeSync(fd, heartbeatText(this.#content()), 0);
    } finally {
      // Other machines see it once the file is closed (nfs(5), close-to-open).
      closeSync(fd);
    }
    this.#beatenAtMs = os.clock.monotonicMs();
    return true;
  }

  #content(): HeartbeatContent {
    const graceMs = this.#isHeld ? 0 : this.#options.graceMs;
    return { beats: ++this.#beats, socket: this.#socketKey, graceMs };
  }

  /** Creates the socket, unless this host's socket is still in its place. */
  #listen(): void {
    const { folder, os } = this.#options;
    if (os.liveness === undefined) return;
    const path = heartbeatSocket(folder, this.#id);
    if (this.#socketKey !== undefined && os.liveness.key(path) === this.#socketKey) return;
    this.#socket?.close();
    this.#isHeld = false;
    this.#socket = os.liveness.listen(path);
    this.#socketKey = this.#socket && os.liveness.key(path);
  }

  #attempt(change: () => void): void {
    try {
      change();
      this.#isIntact = true;
    } catch (error) {
      const { folder, times, warn } = this.#options;
      const path = heartbeatPath(folder, this.#id);
      const message = `the heartbeat ${path} cannot be written: after ${times.giveUpMs / 1000} s, hosts of other machines take this one for dead`;
      if (this.#isIntact) warn(message, error);
      this.#isIntact = false;
    }
  }
}
