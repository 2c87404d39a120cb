import * as z from 'zod/mini';
import { durationMs } from '../check.ts';
import { Registry } from '../containment/registry.ts';
import { SupervisorError } from '../errors.ts';
import type { Emit } from '../events.ts';
import type { Os } from '../os/os.ts';
import { whyTooOld } from '../os/runtime.ts';
import type { ManagedProcess } from '../process/managed-process.ts';
import type { EndReport } from '../reports.ts';
import type { SupervisionRecord } from '../store/formats.ts';
import type { EndOptions } from '../tree/termination.ts';
import type { ResolvedOptions } from './options.ts';
import { Shutdown, type ShutdownOptions } from './shutdown.ts';
import type { Sweeper } from './sweeper.ts';
import type { Waiting } from './waiting.ts';

export interface StopOptions {
  /** Time for live processes to finish by themselves, in ms, before the ladder begins. @default 0 */
  finishMs?: number | undefined;
  /** Time for the whole ladder, in ms. Default: the sum of its steps. */
  deadlineMs?: number | undefined;
  reason?: string | undefined;
}

/** @internal */
export const stopOptions = z.lazy(() =>
  z.prefault(
    z.strictObject({
      finishMs: z._default(durationMs(), 0),
      deadlineMs: z.optional(durationMs()),
      reason: z.optional(z.string()),
    }),
    {},
  ),
);
/** The state of a supervisor: it is `new` until its first start or spawn. */
export type SupervisorState = 'new' | 'running' | 'stopping' | 'stopped';

/** @internal */
export interface LifecycleParts {
  readonly os: Os;
  readonly emit: Emit;
  readonly live: ReadonlyMap<string, ManagedProcess>;
  /** The processes that were let go, and whose trees are alive as far as is known. */
  readonly disowned: Map<string, ManagedProcess>;
  /** The ids of processes whose leftovers live on; it outlasts a registry. */
  readonly kept: Set<string>;
  readonly sweeper: Sweeper;
  readonly waiting: Waiting;
  options(): ResolvedOptions;
  /** A registry was opened. */
  opened(registry: Registry): void;
  /** Runs the cleanup of a dead host's process. */
  cleanUp(record: SupervisionRecord): Promise<void>;
  /** Everything has ended; resolves when nothing needs the registry any more. */
  ended(): Promise<unknown>;
}

const NO_INIT =
  'This host is pid 1: descendants that lose their parent become its children, and as nobody reaps them they stay zombies in the process table. Run it under an init: docker run --init, tini or dumb-init.';

/**
 * @internal The one state machine of a supervisor: `new`, `running`, `stopping`, `stopped`, and `new` again.
 * Its registry is open while it is `running` or `stopping`.
 */
export class Lifecycle {
  readonly #parts: LifecycleParts;
  #state: SupervisorState = 'new';
  #registry: Registry | undefined;
  /** Resolves when the guardian guards; `undefined` without one. */
  #guarded: Promise<void> | undefined;
  #stopping: Promise<EndReport> | undefined;
  #shutdown: Shutdown | undefined;

  constructor(parts: LifecycleParts) {
    this.#parts = parts;
  }

  get state(): SupervisorState {
    return this.#state;
  }

  /** Nothing may start: it is stopping or has stopped. */
  get isClosed(): boolean {
    return this.#state === 'stopping' || this.#state === 'stopped';
  }

  /** The open registry. */
  get registry(): Registry | undefined {
    return this.#registry;
  }

  /** Throws while nothing may start. */
  assertUsable(): void {
    const reason = whyTooOld();
    if (reason !== undefined) throw new SupervisorError('UNSUPPORTED_RUNTIME', reason);
    if (this.isClosed) throw this.refusal();
  }

  /** The error of a request that comes after the stop. */
  refusal(): SupervisorError {
    const advice = 'Call start() once stop() has resolved to use the supervisor again.';
    return new SupervisorError(
      'STOPPING',
      `The supervisor ${this.#state === 'stopped' ? 'has stopped' : 'is stopping'}; nothing was started. ${advice}`,
    );
  }

  /** Opens the registry, if it is not open; throws while nothing may start. */
  open(): Registry {
    this.assertUsable();
    if (this.#registry === undefined) {
      this.#registry = this.#openRegistry();
      this.#parts.opened(this.#registry);
    }
    this.#state = 'running';
    return this.#registry;
  }

  /** Opens the registry, sweeps for the first time, and holds every start until the host is guarded. */
  begin(): Promise<void> | undefined {
    const { os, sweeper, waiting } = this.#parts;
    if (sweeper.hasBegun) return this.#guarded;
    const { guarded } = this.open();
    sweeper.begin();
    if (guarded !== undefined) {
      waiting.hold();
      this.#guarded = guarded.then(() => waiting.letGo());
    }
    if (os.platform === 'linux' && os.identify().pid === 1) this.#warn('NO_INIT', NO_INIT);
    return this.#guarded;
  }

  /** Begins anew after a stop; resolves when the host is guarded. */
  async start(): Promise<Registry> {
    if (this.#state === 'stopping') throw this.refusal();
    if (this.#state === 'stopped') this.#state = 'new';
    const registry = this.open();
    await this.begin();
    return registry;
  }

  /** Ends everything; a second call joins the first, and may set it an earlier deadline. */
  stop(options: ShutdownOptions): Promise<EndReport> {
    if (this.#stopping !== undefined) {
      const { deadlineMs } = options;
      if (deadlineMs !== undefined) this.hurry({ deadlineMs });
      return this.#stopping;
    }
    const { promise, resolve, reject } = Promise.withResolvers<EndReport>();
    // Before the first event: a listener that stops the supervisor joins this stop.
    this.#stopping = promise;
    this.#stop(options).then(resolve, reject);
    return promise;
  }

  /** Hurries a stop that is under way. */
  hurry(options: EndOptions): void {
    this.#shutdown?.hurry(options);
  }

  async #stop(options: ShutdownOptions): Promise<EndReport> {
    const { os, emit, live, sweeper, waiting, ended } = this.#parts;
    this.#state = 'stopping';
    sweeper.cancel();
    emit('stopping', { reason: options.reason });
    const revoked = waiting.refuse(() => this.refusal());
    this.#shutdown = new Shutdown(live, os.clock, options);
    const report = await this.#shutdown.done;
    this.#shutdown = undefined;
    await revoked;
    // Conversation locks count as long as the journal does.
    await ended();
    this.#registry?.close();
    this.#registry = undefined;
    this.#parts.disowned.clear();
    sweeper.reset();
    this.#guarded = undefined;
    this.#state = 'stopped';
    emit('stopped', { durationMs: report.durationMs });
    this.#stopping = undefined;
    return report;
  }

  #openRegistry(): Registry {
    const { os, kept, sweeper } = this.#parts;
    const options = this.#parts.options();
    const { stateDir, ladder, guardian, rlimitTag } = options;
    return new Registry(os, {
      stateDir,
      // Options may be replaced in place.
      get ladder() {
        return options.ladder;
      },
      kept,
      sweep: () => sweeper.sweep(),
      rlimitTag,
      guardian: guardian ? { politeMs: ladder.termMs, forcedMs: ladder.killMs } : undefined,
      warn: (code, message, cause) => this.#warn(code, message, cause),
      cleanUp: (record) => this.#parts.cleanUp(record),
      disownedGone: (id) => this.#parts.disowned.delete(id),
      forfeited: (ids, silentMs) => this.#forfeit(ids, silentMs),
    });
  }

  /** Ends the agents whose conversations other hosts may run by now. */
  #forfeit(ids: readonly string[], silentMs: number): void {
    const lost = ids.flatMap((id) => this.#parts.live.get(id) ?? []);
    const reason = `other hosts have given this one up: it gave no sign of life for ${Math.round(silentMs / 1000)} s`;
    for (const live of lost) {
      live.isForfeit = true;
      void live.end('duplicate', {}, reason);
    }
    const ended = `${lost.length} agents whose conversations may run elsewhere by now are ended`;
    this.#warn('GIVEN_UP', `This host stood still: ${reason}. ${ended}; everything else goes on.`);
  }

  #warn(code: string, message: string, cause?: unknown): void {
    this.#parts.emit('warning', { code, message, cause });
  }
}
