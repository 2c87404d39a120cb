import * as z from 'zod/mini';
import { durationMs } from '../check.ts';
import { SupervisorError } from '../errors.ts';
import type { Clock } from '../os/clock.ts';
import type { Slot } from '../policy/pool.ts';
import type { SupervisedProcess } from '../process/handle.ts';
import { abortSignal, type SpawnRequest, sessionId } from '../process/request.ts';

/** What a lease starts, as far as it needs to know. */
interface Leased {
  readonly exited: Promise<unknown>;
  terminate(): Promise<unknown>;
}

export interface LeaseOptions<Request, Process> {
  readonly slot: Slot;
  readonly sessionId: string | undefined;
  readonly clock: Clock;
  /** How long it may lie unused. */
  readonly unusedMs: number;
  spawn(request: Request, slot: Slot): Process;
  /** It lay unused for too long and was released. */
  expired(): void;
  /** It is over. */
  released(): void;
}

/** A slot in the caller's hands: for one live process at a time. */
export class Lease<Request, Process extends Leased> {
  readonly sessionId: string | undefined;
  readonly #options: LeaseOptions<Request, Process>;
  /** From the call that starts a process, in which the host may come back to us, to its death. */
  #busy = false;
  #process: Process | undefined;
  #cancelTimer: () => void;
  #wanted = true;
  #over = false;

  constructor(options: LeaseOptions<Request, Process>) {
    this.#options = options;
    this.sessionId = options.sessionId;
    this.#cancelTimer = this.#expireUnused();
  }

  /** Starts a process on this slot, in this tick; throws `INVALID_OPTIONS` while another one lives or after the release. */
  spawn(request: Request): Process {
    if (!this.#wanted || this.#busy) {
      const state = this.#wanted ? 'still holds a live process' : 'has been released';
      throw new SupervisorError(
        'INVALID_OPTIONS',
        `lease.spawn: the lease ${state}. Await the process's exited first, or acquire another lease.`,
        { data: { field: 'lease' } },
      );
    }
    this.#busy = true;
    try {
      const process = this.#options.spawn(request, { release: () => this.#ended() });
      if (!this.#busy) return process;
      this.#cancelTimer();
      this.#process = process;
      return process;
    } catch (error) {
      this.#busy = false;
      throw error;
    }
  }

  /** Gives the slot back: now, or at the death of the process that uses it. Safe to call again. */
  release(): void {
    this.#wanted = false;
    this.#cancelTimer();
    if (!this.#busy) this.#finish();
  }

  /** Ends the process that uses the slot, if any, and gives the slot back. */
  async [Symbol.asyncDispose](): Promise<void> {
    const process = this.#process;
    this.release();
    await process?.terminate();
  }

  #ended(): void {
    this.#busy = false;
    this.#process = undefined;
    this.#cancelTimer();
    if (this.#wanted) this.#cancelTimer = this.#expireUnused();
    else this.#finish();
  }

  #expireUnused(): () => void {
    return this.#options.clock.running.after(this.#options.unusedMs, () => {
      this.release();
      this.#options.expired();
    });
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#options.slot.release();
    this.#options.released();
  }
}

/** A slot in the caller's hands. */
export type SlotLease = Lease<SpawnRequest, SupervisedProcess>;

export interface AcquireOptions {
  /** The session of the slot: reaping the session takes it back. */
  sessionId?: string | number | undefined;
  /** Higher goes first. @default 0 */
  priority?: number | undefined;
  /** Default: `pool.waitTimeoutMs`. */
  timeoutMs?: number | undefined;
  /** Gives up waiting. */
  signal?: AbortSignal | undefined;
}

/** @internal */
export const acquireOptions = z.lazy(() =>
  z.prefault(
    z.strictObject({
      sessionId: z.optional(sessionId),
      priority: z.optional(z.number()),
      timeoutMs: z.optional(durationMs()),
      signal: z.optional(abortSignal),
    }),
    {},
  ),
);
