import * as z from 'zod/mini';
import { durationMs } from '../check.ts';
import { SupervisorError } from '../errors.ts';
import type { Clock } from '../os/clock.ts';
import { Slot } from '../policy/pool.ts';
import type { SupervisedProcess } from '../process/handle.ts';
import { abortSignal, type SpawnRequest, sessionId } from '../process/request.ts';
import type { HookDefaults, HookOptions, SpawnHook } from './requests.ts';

/** @internal */
export interface LeaseParts {
  readonly slot: Slot;
  readonly sessionId: string | undefined;
  /** The supervisor that grants it. */
  readonly supervisor: object;
  readonly clock: Clock;
  /** Time for which the lease may lie unused, in ms; `null` for no limit. */
  readonly unusedMs: number | null;
  spawn(request: SpawnRequest, slot: Slot): SupervisedProcess;
  /** Checks the defaults of a hook; returns a function that starts its processes. */
  hook(defaults: HookDefaults): (options: HookOptions, slot: Slot) => SupervisedProcess;
  /** It lay unused for too long and was released. */
  expired(): void;
  /** It is over. */
  released(): void;
}

/** A slot in the caller's hands: for one live process at a time. */
export class SlotLease {
  readonly sessionId: string | undefined;
  readonly #parts: LeaseParts;
  /** From the call that starts a process, in which the host may come back to us, to its death. */
  #busy = false;
  #process: SupervisedProcess | undefined;
  #cancelTimer: () => void;
  #wanted = true;
  #over = false;

  /** @internal */
  constructor(parts: LeaseParts) {
    this.#parts = parts;
    this.sessionId = parts.sessionId;
    this.#cancelTimer = this.#expireUnused();
  }

  /** @internal True while no process uses the slot. */
  get isIdle(): boolean {
    return !this.#busy;
  }

  /** @internal */
  get supervisor(): object {
    return this.#parts.supervisor;
  }

  /** Starts a process on this slot, in this tick; throws `INVALID_OPTIONS` while another one lives or after the release. */
  spawn(request: SpawnRequest): SupervisedProcess {
    return this.#use('lease.spawn', (slot) => this.#parts.spawn(request, slot));
  }

  /**
   * Makes a spawn hook for the Agent SDK whose processes run on this slot. The hook throws
   * `INVALID_OPTIONS` while another process lives on it, and after the release.
   *
   * @throws SupervisorError `INVALID_OPTIONS`
   */
  spawnHook(defaults: HookDefaults = {}): SpawnHook {
    const start = this.#parts.hook(defaults);
    return (options) => this.#use('lease.spawnHook', (slot) => start(options, slot));
  }

  #use(caller: string, start: (slot: Slot) => SupervisedProcess): SupervisedProcess {
    if (!this.#wanted || this.#busy) {
      const state = this.#wanted ? 'still holds a live process' : 'has been released';
      throw new SupervisorError(
        'INVALID_OPTIONS',
        `${caller}: the lease ${state}. Await the process's exited first, or acquire another lease.`,
        { data: { field: 'lease' } },
      );
    }
    this.#busy = true;
    try {
      const process = start(new Slot(() => this.#ended()));
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
    const { unusedMs, clock } = this.#parts;
    if (unusedMs === null) return () => undefined;
    return clock.running.after(unusedMs, () => {
      this.release();
      this.#parts.expired();
    });
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#parts.slot.release();
    this.#parts.released();
  }
}

export interface AcquireOptions {
  /** The session of the slot: reaping the session takes it back. */
  sessionId?: string | number | undefined;
  /** Higher goes first. @default 0 */
  priority?: number | undefined;
  /** The longest wait for the slot, in ms. Default: `pool.waitTimeoutMs`. */
  timeoutMs?: number | undefined;
  /** The time in ms after which an unused lease is released; `null` is without end. Default: `pool.waitTimeoutMs`. */
  unusedMs?: number | null | undefined;
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
      unusedMs: z.optional(z.nullable(durationMs())),
      signal: z.optional(abortSignal),
    }),
    {},
  ),
);
