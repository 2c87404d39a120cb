import * as z from 'zod/mini';
import { definedOnly, parseInput } from '../check.ts';
import type { JoinMachine } from '../containment/machine.ts';
import type { SupervisorError } from '../errors.ts';
import type { SupervisorEvent, SupervisorEvents } from '../events.ts';
import type { Os } from '../os/os.ts';
import { systemOs } from '../os/system.ts';
import { charge } from '../policy/budget.ts';
import { QueueEntry } from '../policy/queue-entry.ts';
import { Slot } from '../policy/slot.ts';
import { adopt } from '../process/adopt.ts';
import { type AdoptOptions, adoptOptions } from '../process/adopt-options.ts';
import type { SupervisedProcess } from '../process/handle.ts';
import { inspectProcess } from '../process/inspection.ts';
import { type SpawnRequest, sessionId } from '../process/request.ts';
import type {
  EndReport,
  ProcessInfo,
  ProcessInspection,
  SessionInfo,
  StartReport,
  SweepReport,
} from '../reports.ts';
import type { Spent } from '../store/spend-log.ts';
import { type HostSignalOptions, HostSignals, hostSignalOptions } from './host-signals.ts';
import type { SupervisorInternals } from './internals.ts';
import { type AcquireOptions, acquireOptions, type SlotLease } from './lease.ts';
import { type StopOptions, type SupervisorState, stopOptions } from './lifecycle.ts';
import type { SupervisorOptions } from './options.ts';
import { SupervisorParts } from './parts.ts';
import type { HookDefaults, SpawnHook } from './requests.ts';
import type { Run, RunAttempt } from './restart-loop.ts';
import type { RunOptions } from './runs.ts';
import type { SupervisorPool } from './supervisor-pool.ts';

const listFilter = z.lazy(() =>
  z.prefault(
    z.strictObject({ sessionId: z.optional(sessionId), kind: z.optional(z.string()) }),
    {},
  ),
);
const sweepOptions = z.lazy(() =>
  z.prefault(z.strictObject({ dryRun: z._default(z.boolean(), false) }), {}),
);
const reapOptions = z.lazy(() =>
  z.prefault(z.strictObject({ reason: z.optional(z.string()) }), {}),
);

/** Supervises the processes of one host: admits, starts, watches and ends them, with all they start. */
export class Supervisor {
  readonly #parts: SupervisorParts;
  #hostSignals: HostSignals | undefined;

  /** @internal Use `createSupervisor` or `getSupervisor`. */
  constructor(options: SupervisorOptions = {}, os: Os = systemOs(), join?: JoinMachine) {
    this.#parts = new SupervisorParts(this, options, os, join);
  }

  /** The state: `new`, `running`, `stopping` or `stopped`; `start` takes it from `stopped` to `running`. */
  get state(): SupervisorState {
    return this.#parts.lifecycle.state;
  }

  /**
   * @internal
   *
   * Replaces the options: all of them before their first use, and later those that may change then.
   *
   * @throws SupervisorError `INVALID_OPTIONS` for the rest
   */
  configure(options: SupervisorOptions): void {
    this.#parts.configure(options);
  }

  /** @internal */
  get internals(): SupervisorInternals {
    return this.#parts.internals();
  }

  /**
   * Opens the registry; implicit at the first spawn, and needed again after `stop`.
   *
   * @throws SupervisorError `STATE_DIR_UNSAFE`, `STOPPING` while a stop is under way, or `SPAWN_FAILED`
   * where PowerShell cannot be run (Windows)
   */
  async start(): Promise<StartReport> {
    const { lifecycle, sweeper, options } = this.#parts;
    const { rlimitTag } = await lifecycle.start();
    return { ...(await sweeper.first()), stateDir: options.stateDir, rlimitTag };
  }

  /**
   * Ends leftovers: processes of dead hosts, and descendants that outlived their own process unseen.
   * A supervisor sweeps by itself at the start and every `sweep.intervalMs`. With `dryRun` it only
   * reports.
   */
  async sweep(options?: { dryRun?: boolean | undefined }): Promise<SweepReport> {
    return this.#parts.sweeper.sweep(parseInput(sweepOptions, options, 'sweep'));
  }

  /**
   * Starts a process in this tick if it may, else queues it.
   *
   * @throws SupervisorError `INVALID_OPTIONS` or `STOPPING`; whatever else prevents the start is told
   * by the handle: `'error'`, `started`, `exited`
   */
  spawn(request: SpawnRequest): SupervisedProcess {
    return this.#parts.spawn(this.#parts.check(request));
  }

  /**
   * Makes the function that the Agent SDK calls to start its process.
   *
   * @example
   * ```ts
   * query({ prompt, options: { spawnClaudeCodeProcess: supervisor.spawnHook({ sessionId }) } });
   * ```
   */
  spawnHook(defaults: HookDefaults = {}): SpawnHook {
    const start = this.#parts.hook(defaults);
    return (options) => start(options);
  }

  /**
   * Waits for a slot, and for room below the hard cap, and hands both to the caller.
   *
   * @throws SupervisorError `POOL_TIMEOUT`, `ABORTED`, `SESSION_EXPIRED`, `STOPPING` or `INVALID_OPTIONS`, by rejection
   */
  acquire(options?: AcquireOptions): Promise<SlotLease> {
    const parts = this.#parts;
    return new Promise((resolve, reject) => {
      const checked = options === undefined ? {} : parseInput(acquireOptions, options, 'acquire');
      parts.lifecycle.assertUsable();
      parts.beginUnasked();
      if (checked.sessionId !== undefined) {
        parts.lifecycle.open();
        parts.supervision.admission.sessions.enter(checked.sessionId).assertOpen();
      }
      const answer = parts.supervision.admission.pool.ask({
        sessionId: checked.sessionId,
        needsSlot: true,
        priority: checked.priority ?? 0,
        keys: checked.keys,
        timeoutMs: checked.timeoutMs ?? parts.options.pool.waitTimeoutMs,
        signal: checked.signal,
        condition: parts.supervision.admission.roomForLease,
      });
      const settle = (answered: Slot | SupervisorError): void => {
        if (answered instanceof Slot) resolve(parts.lease(answered, checked));
        else reject(answered);
      };
      if (answer instanceof QueueEntry) answer.onAnswer(settle);
      else settle(answer);
    });
  }

  /**
   * Starts a process and, when it crashes, another one, after a backoff. Restarts are limited, and
   * counted beyond the end of the host. A process that is ended on purpose is not started again.
   *
   * @throws SupervisorError `INVALID_OPTIONS` or `STOPPING`
   *
   * @example
   * ```ts
   * const run = supervisor.run({ name: 'indexer' }, ({ signal }) => supervisor.spawn({ command, signal }));
   * const { outcome } = await run.done;
   * ```
   */
  run(
    options: RunOptions,
    attempt: (attempt: RunAttempt) => SupervisedProcess | PromiseLike<SupervisedProcess>,
  ): Run {
    return this.#parts.runs.begin(options, attempt);
  }

  /**
   * Supervises a process that somebody else has started, from now on. `list`, `reapSession`, `stop` and
   * containment hold for it as for any other, as far as its group allows. It has no streams, and its
   * exit code stays unknown.
   *
   * @throws SupervisorError `NOT_ADOPTABLE` with the reason, `STOPPING` or `INVALID_OPTIONS`, by rejection
   */
  async adopt(options: AdoptOptions): Promise<SupervisedProcess> {
    const parts = this.#parts;
    const checked = parseInput(adoptOptions, options, 'adopt');
    await parts.lifecycle.begin();
    // One after the other: two at once would both find that nobody supervises it.
    return parts.adoptions.run(async () => {
      return adopt(parts.supervision, checked, await parts.lifecycle.open().recovery());
    });
  }

  /** Describes a session, of any host; `undefined` for one that never was or is forgotten. */
  session(id: string | number): SessionInfo | undefined {
    const session = parseInput(sessionId, id, 'session', 'sessionId');
    return this.#parts.supervision.admission.sessions.describe(session);
  }

  /**
   * Counts what was spent for a session, or for none. The sums of the session, of this host and of the
   * day grow by it. Requests without budget left are refused from then on, and processes are ended if
   * their budget says so.
   *
   * @throws SupervisorError `INVALID_OPTIONS` or `STATE_DIR_UNSAFE`
   */
  charge(id: string | number | undefined, spent: Partial<Spent>): void {
    const { lifecycle, supervision } = this.#parts;
    const session = id === undefined ? id : parseInput(sessionId, id, 'charge', 'sessionId');
    const sum = parseInput(charge, spent, 'charge', 'spent');
    // What ends has spent, too.
    if (!lifecycle.isClosed) lifecycle.open();
    supervision.admission.spending.charge(session, sum);
  }

  /** The pool at run time: its size, who waits for what, and its pause. */
  get pool(): SupervisorPool {
    return this.#parts.pool;
  }

  /** Lists the live processes of this supervisor in start order, and then those that it has let go. */
  list(filter?: {
    sessionId?: string | number | undefined;
    kind?: string | undefined;
  }): ProcessInfo[] {
    const wanted = Object.entries(definedOnly(parseInput(listFilter, filter, 'list')));
    return [...this.#parts.live.values(), ...this.#parts.disowned.values()]
      .map((live) => live.describe())
      .filter((info) => wanted.every(([field, is]) => info[field as keyof ProcessInfo] === is));
  }

  /** Looks at every live process with its descendants, memory and CPU. */
  async inspect(): Promise<ProcessInspection[]> {
    const trees = await Promise.all(
      [...this.#parts.live.values()].map(async (live) => ({
        live,
        members: await live.tree.liveMembers(),
      })),
    );
    const { os } = this.#parts;
    const usage = await os.sample(trees.flatMap(({ members }) => members.map(({ pid }) => pid)));
    const sample = { usage, nowMs: os.clock.monotonicMs() };
    return trees.map(({ live, members }) => inspectProcess(live, members, sample));
  }

  /** Ends every process of a session and refuses what waits for it. */
  async reapSession(
    id: string | number,
    options?: { reason?: string | undefined },
  ): Promise<EndReport> {
    const session = parseInput(sessionId, id, 'reapSession', 'sessionId');
    const { reason } = parseInput(reapOptions, options, 'reapSession');
    return this.#parts.reapSession(session, reason);
  }

  /**
   * Ends everything; `start` opens the supervisor again. New and queued requests are refused. Live
   * processes may finish for `finishMs`, then the ladder ends them in reverse start order.
   */
  async stop(options?: StopOptions): Promise<EndReport> {
    return this.#parts.lifecycle.stop(parseInput(stopOptions, options, 'stop'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** Listens for an event; returns a function that stops that. What a listener throws surfaces as the host's own uncaught error. */
  on<E extends SupervisorEvent>(
    event: E,
    listener: (detail: SupervisorEvents[E]) => void,
  ): () => void {
    return this.#parts.events.on(event, listener);
  }

  /**
   * Stops on SIGTERM, SIGINT and SIGHUP, and by force on another one. The same signal counts as another
   * after a second. Then the host dies of its signal, unless it listens for that itself (signal-exit's
   * listeners do not count); as pid 1 it exits with 128 + n. `HOST_STAYS` warns of a host that lives on.
   *
   * Calls add up; one with the `name` of an earlier call replaces that. In a worker thread it does
   * nothing, and warns of that.
   *
   * @returns a function that uninstalls it
   */
  handleSignals(options: HostSignalOptions = {}): () => void {
    const { os, lifecycle, warn } = this.#parts;
    const handler = parseInput(hostSignalOptions, options, 'handleSignals');
    this.#hostSignals ??= new HostSignals({
      os,
      warn,
      stop: (times, reason) => this.stop({ ...times, reason }),
      force: () => lifecycle.hurry({ force: true }),
    });
    return this.#hostSignals.add(handler);
  }
}
