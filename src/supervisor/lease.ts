import * as z from 'zod/mini';
import { durationMs, parseInput } from '../check.ts';
import { SupervisorError } from '../errors.ts';
import type { Clock } from '../os/clock.ts';
import { requestKeys } from '../policy/pool-options.ts';
import { Slot } from '../policy/slot.ts';
import type { ExternalLaunch } from '../process/external-launch.ts';
import type { SupervisedProcess } from '../process/handle.ts';
import { abortSignal, type SpawnRequest, sessionId } from '../process/request.ts';
import type { HookDefaults, HookOptions, LaunchOptions, SpawnHook } from './requests.ts';

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
  /** Admits a process that others launch; resolves when it may start. */
  launch(options: LaunchOptions, slot: Slot): Promise<ExternalLaunch>;
  /** Supervises a process of a launch from now on. */
  adopt(launch: ExternalLaunch, pid: number): Promise<SupervisedProcess>;
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
  /** The launch by others, until its process is adopted. */
  #launch: ExternalLaunch | undefined;
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

  /**
   * Prepares the launch of a process by others: node-pty, an agent's SDK, Electron.
   *
   * It waits for its conversation as a spawn does. Start one process with what it resolves to, then
   * {@link adopt} it.
   *
   * @throws SupervisorError `INVALID_OPTIONS`, or what refuses the start, by rejection
   *
   * @example
   * ```ts
   * const { env, prefix } = await lease.launch();
   * const [file = '', ...args] = [...prefix, 'codex'];
   * const terminal = pty.spawn(file, args, { env });
   * const { exited } = await lease.adopt({ pid: terminal.pid });
   * ```
   */
  async launch(options: LaunchOptions = {}): Promise<Launch> {
    const slot = this.#begin('lease.launch');
    try {
      this.#launch = await this.#parts.launch(options, slot);
    } catch (error) {
      slot.release();
      throw error;
    }
    // It was released while its launch waited.
    if (!this.#wanted) await this.#abandon();
    const { env, prefix } = this.#launch ?? {};
    if (env === undefined || prefix === undefined) throw released('lease.launch');
    return { env, prefix };
  }

  /**
   * Supervises the process that others have launched for this lease, on its slot.
   *
   * Session, conversation and budget are those of the launch. The handle has no streams, and the exit
   * code stays unknown.
   *
   * Without a `pid` it waits for the first process that bears the marks of the launch.
   *
   * @throws SupervisorError `NOT_ADOPTABLE` with the reason, or `INVALID_OPTIONS`, by rejection
   */
  async adopt(options: LeaseAdoptOptions = {}): Promise<SupervisedProcess> {
    const { pid, timeoutMs } = parseInput(leaseAdoptOptions, options, 'lease.adopt');
    if (this.#launch === undefined) await this.launch();
    const launch = this.#launch as unknown as ExternalLaunch;
    try {
      const process = await this.#parts.adopt(launch, pid ?? (await launch.appeared(timeoutMs)));
      this.#adopted(process);
      return process;
    } catch (error) {
      // With nothing left of it, the lease is free for the next process.
      if (await launch.giveUp()) this.#launch = undefined;
      throw error;
    }
  }

  #adopted(process: SupervisedProcess): void {
    this.#launch = undefined;
    if (!this.#busy) return;
    this.#cancelTimer();
    this.#process = process;
  }

  #use(caller: string, start: (slot: Slot) => SupervisedProcess): SupervisedProcess {
    const slot = this.#begin(caller);
    try {
      const process = start(slot);
      if (!this.#busy) return process;
      this.#cancelTimer();
      this.#process = process;
      return process;
    } catch (error) {
      this.#busy = false;
      throw error;
    }
  }

  /** Takes the slot for one process. */
  #begin(caller: string): Slot {
    if (!this.#wanted) throw released(caller);
    if (this.#busy)
      throw new SupervisorError(
        'INVALID_OPTIONS',
        `${caller}: the lease still holds a live process. Await the process's exited first, or acquire another lease.`,
        { data: { field: 'lease' } },
      );
    this.#busy = true;
    return new Slot(() => this.#ended());
  }

  /** Gives the slot back: now, or at the death of the process that uses it. Safe to call again. */
  release(): void {
    this.#wanted = false;
    this.#cancelTimer();
    if (!this.#busy) this.#finish();
    else void this.#abandon();
  }

  /** @internal Gives the slot back, and ends what others have launched unless it is adopted. */
  async revoke(): Promise<void> {
    const launch = this.#launch;
    this.#launch = undefined;
    this.release();
    await launch?.end();
  }

  /** Supervises what others have launched and nobody has adopted; without any such process, it is over. */
  async #abandon(): Promise<void> {
    const launch = this.#launch;
    this.#launch = undefined;
    if (launch === undefined || (await launch.giveUp())) return;
    const adopting = launch.appeared(0).then((pid) => this.#parts.adopt(launch, pid));
    await adopting.catch(() => launch.end());
  }

  /** Ends the process that uses the slot, if any, and gives the slot back. */
  async [Symbol.asyncDispose](): Promise<void> {
    const process = this.#process;
    const revoked = this.revoke();
    await process?.terminate();
    await revoked;
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

/** The marks of a process that others launch. */
export interface Launch {
  /** The whole environment of the process: its own or the host's, sanitized, with the cookie. */
  readonly env: Readonly<Record<string, string>>;
  /** Words to put before its command line, which set the tag; none where there are no tags. */
  readonly prefix: readonly string[];
}

/** The process to adopt. */
export interface LeaseAdoptOptions {
  /** Default: the first process that bears the marks of the launch. */
  pid?: number | undefined;
  /** The longest wait for that process to appear, in ms. @default 10_000 */
  timeoutMs?: number | undefined;
}

const leaseAdoptOptions = z.lazy(() =>
  z.strictObject({
    pid: z.optional(z.int()),
    timeoutMs: z._default(durationMs(), 10_000),
  }),
);

function released(caller: string): SupervisorError {
  return new SupervisorError(
    'INVALID_OPTIONS',
    `${caller}: the lease has been released. Await the process's exited first, or acquire another lease.`,
    { data: { field: 'lease' } },
  );
}

export interface AcquireOptions {
  /** The session of the slot: reaping the session takes it back. */
  sessionId?: string | number | undefined;
  /** Higher goes first. @default 0 */
  priority?: number | undefined;
  /** The keys under which the lease counts, whether it is used or not; its processes take none of their own. Default: none. */
  keys?: readonly string[] | undefined;
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
      keys: z.optional(requestKeys),
      timeoutMs: z.optional(durationMs()),
      unusedMs: z.optional(z.nullable(durationMs())),
      signal: z.optional(abortSignal),
    }),
    {},
  ),
);
