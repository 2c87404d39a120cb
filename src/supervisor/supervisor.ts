import * as z from 'zod/mini';
import { definedOnly, durationMs, made, parseInput } from '../check.ts';
import type { RecoveryContext } from '../containment/recovery.ts';
import { Registry } from '../containment/registry.ts';
import { sweep } from '../containment/sweep.ts';
import { SupervisorError } from '../errors.ts';
import {
  type Emit,
  Events,
  type ServiceState,
  type SupervisorEvent,
  type SupervisorEvents,
} from '../events.ts';
import { builtin } from '../os/builtin.ts';
import type { Os } from '../os/os.ts';
import { whyTooOld } from '../os/runtime.ts';
import { systemOs } from '../os/system.ts';
import { charge, Spending, type Spent } from '../policy/budget.ts';
import { Conversations } from '../policy/conversations.ts';
import { Limiter } from '../policy/limits/limiter.ts';
import {
  assertConsistent,
  mergeLimits,
  type ProcessLimits,
  processLimits,
} from '../policy/limits/limits.ts';
import { Pool, type Slot } from '../policy/pool.ts';
import { restartPolicy, withBackoff } from '../policy/restart-policy.ts';
import { assertRemembered, Sessions } from '../policy/session.ts';
import { SpawnRate } from '../policy/spawn-rate.ts';
import { type AdoptOptions, adopt, adoptOptions } from '../process/adopt.ts';
import type { SupervisedProcess } from '../process/handle.ts';
import type { LiveProcess } from '../process/managed-process.ts';
import type { QueuedStart } from '../process/queue.ts';
import {
  abortSignal,
  type CheckedRequest,
  requireSession,
  type SpawnRequest,
  sessionId,
  spawnRequest,
} from '../process/request.ts';
import { spawn } from '../process/start.ts';
import {
  pipedOf,
  requireStreams,
  type StdioOptions,
  streamsOfTheSdk,
} from '../process/stdio-options.ts';
import type { Corridor, Dialect } from '../process/supervision.ts';
import type {
  EndReport,
  ProcessInfo,
  ProcessInspection,
  ProcessName,
  RlimitTagReport,
  SessionInfo,
  StartReport,
  SweepReport,
} from '../reports.ts';
import type { SupervisionRecord } from '../store/formats.ts';
import { restartFile } from '../store/restart-log.ts';
import { SessionFiles } from '../store/session-file.ts';
import { DayFiles } from '../store/spend-log.ts';
import type { LadderOptions } from '../tree/ladder.ts';
import { type HostSignalOptions, HostSignals, hostSignalOptions } from './host-signals.ts';
import { Lease } from './lease.ts';
import { type ResolvedOptions, resolveOptions, type SupervisorOptions } from './options.ts';
import { changesBetween, describeChanges } from './replace-options.ts';
import { budgetInMemory, type Run, type RunAttempt, SupervisedRun } from './restart-loop.ts';
import { endAll, Shutdown } from './shutdown.ts';
import { Turns } from './turns.ts';

/** A slot in the caller's hands. */
export type SlotLease = Lease<SpawnRequest, SupervisedProcess>;

export interface AcquireOptions {
  /** Whose slot it is: reaping the session takes it back. */
  sessionId?: string | number | undefined;
  /** Higher goes first. @default 0 */
  priority?: number | undefined;
  /** Default: `pool.waitTimeoutMs`. */
  timeoutMs?: number | undefined;
  /** Gives up waiting. */
  signal?: AbortSignal | undefined;
}

export interface StopOptions {
  /** How long what runs may go on before the ladder begins. @default 0 */
  finishMs?: number | undefined;
  /** How long the ladder may take in all. Default: the sum of its steps. */
  deadlineMs?: number | undefined;
  reason?: string | undefined;
}

/** When a run starts its process again. */
export interface RunOptions {
  /** Whose run it is: reaping the session ends it. */
  sessionId?: string | number | undefined;
  /** Whose restarts are counted, by this host and by the next one. Default: the session's. */
  name?: string | undefined;
  /** So many restarts within `windowMs`. @default 5 */
  maxRestarts?: number | undefined;
  /** At most 30 days. @default 600_000 */
  windowMs?: number | undefined;
  /** From a crash to the first restart; doubled for each one more within `windowMs`. @default 1000 */
  backoffMs?: number | undefined;
  /** @default 60_000 */
  maxBackoffMs?: number | undefined;
  /** By which part, from 0 to 1, chance may shorten a backoff. @default 0.5 */
  jitter?: number | undefined;
  /** So many crashes in a row that look the same end the run. @default 3 */
  sameCrashLimit?: number | undefined;
  /** Ends the run. */
  signal?: AbortSignal | undefined;
}

/** The fields that a spawn hook gives to each of its processes; program, arguments and streams are the SDK's own. */
export type HookDefaults = Partial<Omit<SpawnRequest, 'command' | 'args' | keyof StdioOptions>>;

/** What the SDK's spawn hook receives; unknown keys pass. */
export interface HookOptions {
  command: string;
  args: readonly string[];
  cwd?: string | undefined;
  env?: Readonly<Record<string, string | undefined>> | undefined;
  signal?: AbortSignal | undefined;
}

/** What goes into the SDK's `spawnClaudeCodeProcess`. */
export type SpawnHook = (options: HookOptions) => SupervisedProcess;

/** @internal A service as its supervisor knows it. */
export interface DefinedService {
  readonly service: { readonly state: ServiceState; readonly pid: number | undefined };
}

/** How far a supervisor has got: it is `new` until its first start or spawn. */
export type SupervisorState = 'new' | 'running' | 'stopping' | 'stopped';

/** @internal What a doctor reads off a supervisor. */
export interface Health {
  readonly state: SupervisorState;
  readonly options: ResolvedOptions;
  readonly instance: string | undefined;
  readonly pool: Pool;
  /** `undefined` while no registry is open. */
  readonly guardian: Registry['guardian'] | undefined;
  readonly rlimitTag: RlimitTagReport | undefined;
  readonly clockJumpMs: number | undefined;
  readonly spentUsd: number;
}

/** @internal What the package's other entries build on: the same system, the same folder, the same events. */
export interface Foundation {
  readonly os: Os;
  readonly stateDir: string;
  readonly emit: Emit;
  /** By name; kept here, so that two loaded copies of the package share them. */
  readonly services: Map<string, DefinedService>;
  warn(code: string, message: string, cause?: unknown): void;
  /** Checks a request without starting anything; throws `INVALID_OPTIONS` in the name of `subject`. */
  check(request: SpawnRequest, subject: string): void;
  /** What it takes to judge others' processes and files in our name. */
  recovery(): Promise<RecoveryContext>;
  /** By which others see from elsewhere that we live; `undefined` while no registry is open. */
  readonly heartbeat: string | undefined;
  /** What is written down of a live process. */
  recordOf(id: string): SupervisionRecord | undefined;
  /** Who is alive of a live process's tree. */
  membersOf(id: string): Promise<readonly ProcessName[]>;
  /** What runs, in start order. */
  readonly live: ReadonlyMap<string, LiveProcess>;
  /** How the supervisor itself is at this moment. */
  health(): Health;
  session(id: string): SessionInfo | undefined;
  /** Whether this host has asked for the end of a process; known until its exit has been told. */
  wasAsked(id: string): boolean;
}

const requestFields = z.lazy(() =>
  z.extend(made(spawnRequest), { limits: z.optional(processLimits) }),
);
/** What each call of a hook says for itself would go over a default, unnoticed. */
const spawnDefaults = z.lazy(() =>
  z
    .extend(z.partial(made(requestFields)), {
      ...streamsOfTheSdk(),
      command: z.optional(
        z.undefined({
          error: 'must be left out: the Agent SDK names the program (pathToClaudeCodeExecutable)',
        }),
      ),
      args: z.optional(
        z.undefined({
          error:
            "must be left out: the Agent SDK gives the agent's arguments (its extraArgs adds some)",
        }),
      ),
    })
    .check(z.superRefine(requireSession)),
);
const limitedRequest = z.lazy(() =>
  made(requestFields).check(z.superRefine(requireSession), z.superRefine(requireStreams)),
);
const acquireOptions = z.lazy(() =>
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
const stopOptions = z.lazy(() =>
  z.prefault(
    z.strictObject({
      finishMs: z._default(durationMs(), 0),
      deadlineMs: z.optional(durationMs()),
      reason: z.optional(z.string()),
    }),
    {},
  ),
);
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

const runOptions = z.lazy(() =>
  z.prefault(
    z.extend(made(restartPolicy), {
      sessionId: z.optional(sessionId),
      name: z.optional(z.string().check(z.minLength(1))),
      signal: z.optional(abortSignal),
    }),
    {},
  ),
);
const runAttempt = z.lazy(() =>
  z.custom((value) => typeof value === 'function', {
    error: 'must be a function',
  }),
);

const NO_INIT =
  'This host is pid 1: descendants that lose their parent become its children, and as nobody reaps them they stay zombies in the process table. Run it under an init: docker run --init, tini or dumb-init.';

/** How long another owner's agent may take to end, and its claim to be given up. */
const takeoverPatienceMs = ({ stdinEofMs, termMs, killMs }: LadderOptions): number =>
  2 * (stdinEofMs + termMs + killMs) + 5000;

/** What the host's own code has just done, and may well have meant: nothing to warn its operator of. */
const SELF_INFLICTED: ReadonlySet<string> = new Set([
  'OPTIONS_REPLACED',
  'DEFINITION_REPLACED',
  'SESSION_SHARED',
]);

// A registered symbol, so that the supervisors of every loaded copy of the package are found.
const OPENED = Symbol.for('agent-supervisor.opened.v1');

/** @internal A supervisor that has been opened, for who looks for leaks. */
export interface Opened {
  readonly supervisor: WeakRef<Supervisor>;
  /** Whose rest was let live on; known even when the supervisor is gone. */
  readonly kept: ReadonlySet<string>;
}

/** @internal What was opened in this host, by the instance that names it in the cookies of all it starts. */
export function openedSupervisors(): Map<string, Opened> {
  const host = globalThis as { [OPENED]?: Map<string, Opened> };
  host[OPENED] ??= new Map();
  return host[OPENED];
}

const ONE_TO_ONE: Dialect = { isClaude: false, emptyValue: 'keep' };

/** Supervises the processes of one host: admits, starts, watches and ends them, with all they start. */
export class Supervisor {
  readonly #os: Os;
  readonly #events = new Events(this, ({ code, message }) => {
    if (!SELF_INFLICTED.has(code)) this.#os.emitWarning(code, message);
  });
  readonly #live = new Map<string, LiveProcess>();
  readonly #queued = new Set<QueuedStart>();
  readonly #leases = new Set<SlotLease>();
  readonly #sweeps = new Turns();
  readonly #adoptions = new Turns();
  readonly #sessionFiles: SessionFiles;
  readonly #runs = new Set<SupervisedRun>();
  readonly #services = new Map<string, DefinedService>();
  readonly #kept = new Set<string>();
  readonly #idPrefix = crypto.randomUUID().slice(0, 8);
  #options: ResolvedOptions;
  #corridor: Corridor;
  #registry: Registry | undefined;
  #beginning: Promise<void> | undefined;
  #firstSweep: Promise<SweepReport> | undefined;
  #cancelSweep: () => void = () => undefined;
  #lastId = 0;
  #state: SupervisorState = 'new';
  #stopping: Promise<EndReport> | undefined;
  #shutdown: Shutdown | undefined;
  #hostSignals: HostSignals | undefined;

  /** @internal Use `createSupervisor` or `getSupervisor`. */
  constructor(options: SupervisorOptions = {}, os: Os = systemOs()) {
    this.#os = os;
    this.#options = resolveOptions(options, os);
    this.#sessionFiles = new SessionFiles({
      os,
      stateDir: () => this.#options.stateDir,
      bootId: () => (this.#registry?.owner ?? os.identify()).bootId,
      warn: (message, cause) => this.#warn('SESSION', message, cause),
    });
    this.#corridor = this.#compose();
  }

  /** Whether it has begun: `new`, `running`, `stopping` or `stopped`; `start` takes it from `stopped` to `running`. */
  get state(): SupervisorState {
    return this.#state;
  }

  /**
   * @internal Takes new options: all of them while nothing has used the old ones, and later what may
   * change then; throws `INVALID_OPTIONS` for the rest.
   */
  configure(options: SupervisorOptions): void {
    const next = resolveOptions(options, this.#os);
    if (this.#state === 'new' && this.#lastId === 0 && this.#leases.size === 0) {
      this.#options = next;
      this.#corridor = this.#compose();
      return;
    }
    const changes = changesBetween(this.#options, next);
    if (changes.length === 0) return;
    const { sweep, spawnRate } = this.#options;
    // In place: whoever holds them reads the new ones from now on.
    Object.assign(this.#options, { spawnRate: undefined }, next);
    const { pool } = this.#corridor;
    pool.resize(next.pool.concurrency);
    if (!builtin('node:util').isDeepStrictEqual(spawnRate, next.spawnRate))
      this.#corridor = { ...this.#corridor, rate: this.#spawnRate() };
    if (sweep.intervalMs !== next.sweep.intervalMs && this.#state === 'running') this.#planSweep();
    this.#warn('OPTIONS_REPLACED', `Options were replaced: ${describeChanges(changes)}.`);
  }

  /** @internal */
  get foundation(): Foundation {
    return {
      os: this.#os,
      stateDir: this.#options.stateDir,
      emit: this.#events.emit,
      services: this.#services,
      warn: (code, message, cause) => this.#warn(code, message, cause),
      check: (request, subject) => void this.#check(request, subject),
      recovery: () => this.#open().recovery(),
      heartbeat: this.#registry?.owner.heartbeat,
      live: this.#live,
      health: () => this.#health(),
      session: (id) => this.#corridor.sessions.describe(id),
      recordOf: (id) => this.#live.get(id)?.record,
      membersOf: async (id) => (await this.#live.get(id)?.tree.look()) ?? [],
      wasAsked: (id) => this.#wasAsked(id),
    };
  }

  /**
   * Opens the registry; implicit at the first spawn, and needed again after `stop`.
   *
   * @throws SupervisorError `STATE_DIR_UNSAFE`, `STOPPING` while a stop is under way, or `SPAWN_FAILED`
   * where PowerShell cannot be run (Windows)
   */
  async start(): Promise<StartReport> {
    if (this.#state === 'stopping') throw this.#closed();
    if (this.#state === 'stopped') this.#state = 'new';
    const registry = this.#open();
    await this.#begin();
    // One that has failed is no answer for ever.
    const report = await (this.#firstSweep?.catch(() => this.sweep()) ?? this.sweep());
    return { ...report, stateDir: this.#options.stateDir, rlimitTag: registry.rlimitTag };
  }

  /**
   * Ends what has no purpose any more: what dead hosts left, and what outlived its own process unseen.
   * Happens by itself at the start and every `sweep.intervalMs`; `dryRun` only says what it would do.
   */
  async sweep(options?: { dryRun?: boolean | undefined }): Promise<SweepReport> {
    const { dryRun } = parseInput(sweepOptions, options, 'sweep');
    const registry = this.#open();
    // One after the other: two at once would claim the same journals.
    const report = await this.#sweeps.take(async () => {
      registry.catchUp();
      const context = { ...(await registry.recovery()), dryRun };
      const { retentionMs } = this.#options.session;
      const { sessions } = this.#corridor;
      const isFolderUnsafe = !dryRun && !registry.check();
      if (!dryRun) {
        sessions.review();
        registry.review();
        if (!isFolderUnsafe) await this.#sessionFiles.forgetUnseen(retentionMs, sessions.inUse);
      }
      return sweep(context, {
        isFolderUnsafe,
        known: () => [...this.#live.keys(), ...this.#kept],
        overdue: [...this.#live.values()].filter((live) => live.survived),
        trees: Array.from(this.#live.values(), ({ tree }) => tree),
      });
    });
    if (!dryRun) this.#events.emit('swept', report);
    return report;
  }

  /**
   * Starts a process in this tick if it may, else queues it.
   *
   * @throws SupervisorError `INVALID_OPTIONS` or `STOPPING`; whatever else prevents the start is told
   * by the handle: `'error'`, `started`, `exited`
   */
  spawn(request: SpawnRequest): SupervisedProcess {
    return this.#spawn(request, ONE_TO_ONE);
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
    this.#assertSensible(parseInput(spawnDefaults, defaults, 'spawnHook'), 'spawnHook');
    return ({ command, args, cwd, env, signal }) => {
      const dialect = { isClaude: true, emptyValue: this.#options.args.emptyValue };
      const asked = definedOnly({ cwd, env, signal });
      return this.#spawn({ ...defaults, command, args, ...asked }, dialect);
    };
  }

  /**
   * Waits for a slot and hands it to the caller.
   *
   * @throws SupervisorError `POOL_TIMEOUT`, `ABORTED`, `SESSION_EXPIRED`, `STOPPING` or `INVALID_OPTIONS`, by rejection
   */
  acquire(options?: AcquireOptions): Promise<SlotLease> {
    return new Promise((resolve, reject) => {
      const wish = options === undefined ? {} : parseInput(acquireOptions, options, 'acquire');
      this.#assertUsable();
      this.#beginUnasked();
      if (wish.sessionId !== undefined) {
        this.#open();
        this.#corridor.sessions.enter(wish.sessionId).assertOpen();
      }
      this.#corridor.pool.request({
        sessionId: wish.sessionId,
        priority: wish.priority ?? 0,
        timeoutMs: wish.timeoutMs ?? this.#options.pool.waitTimeoutMs,
        signal: wish.signal,
        granted: (slot) => resolve(this.#lease(slot, wish.sessionId)),
        refused: reject,
      });
    });
  }

  /**
   * Starts a process and, when it crashes, another one: after a backoff, within a budget that outlasts
   * the host. What ends on purpose, whoever's purpose it is, is not started again.
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
    const wish = parseInput(runOptions, options, 'run');
    parseInput(runAttempt, attempt, 'run', 'attempt');
    this.#assertUsable();
    const { sessionId: session, name, signal, ...policy } = wish;
    // A name and a session that read the same are not the same.
    const of = name !== undefined ? `name ${name}` : session && `session ${session}`;
    const warn = (message: string, cause: unknown) => this.#warn('RESTARTS', message, cause);
    const { stateDir } = this.#options;
    const run = new SupervisedRun({
      name,
      sessionId: session,
      policy: withBackoff(policy),
      budget: of ? restartFile({ os: this.#os, stateDir, of, warn }) : budgetInMemory(),
      clock: this.#os.clock,
      signal,
      random: Math.random,
      attempt,
      wasAsked: (id) => this.#wasAsked(id),
      restarting: (event) => this.#events.emit('restarting', event),
      ended: () => this.#runs.delete(run),
    });
    this.#runs.add(run);
    run.begin();
    return run;
  }

  /**
   * Supervises a process that somebody else has started, from now on: `list`, `reapSession`, `stop` and
   * containment hold for it as for any other, as far as its group allows. It has no streams, and its
   * exit code stays unknown.
   *
   * @throws SupervisorError `NOT_ADOPTABLE` with the reason, `STOPPING` or `INVALID_OPTIONS`, by rejection
   */
  async adopt(options: AdoptOptions): Promise<SupervisedProcess> {
    const wish = parseInput(adoptOptions, options, 'adopt');
    await this.#begin();
    // One after the other: two at once would both find that nobody supervises it.
    return this.#adoptions.take(async () => {
      return adopt(this.#corridor, wish, await this.#open().recovery());
    });
  }

  /** What is known of a session, whichever host worked for it; `undefined` for one that never was or is forgotten. */
  session(id: string | number): SessionInfo | undefined {
    const session = parseInput(sessionId, id, 'session', 'sessionId');
    return this.#corridor.sessions.describe(session);
  }

  /**
   * Counts what was spent for a session, or for none: it is kept with the session, this host and the
   * day. What has no budget left is refused from then on, and ended if its budget says so.
   *
   * @throws SupervisorError `INVALID_OPTIONS` or `STATE_DIR_UNSAFE`
   */
  charge(id: string | number | undefined, spent: Partial<Spent>): void {
    const session = id === undefined ? id : parseInput(sessionId, id, 'charge', 'sessionId');
    const sum = parseInput(charge, spent, 'charge', 'spent');
    // What ends has spent, too.
    if (this.#state === 'new' || this.#state === 'running') this.#open();
    this.#corridor.spending.charge(session, sum);
  }

  /** Lists the live processes of this supervisor, in start order. */
  list(filter?: {
    sessionId?: string | number | undefined;
    kind?: string | undefined;
  }): ProcessInfo[] {
    const wanted = Object.entries(definedOnly(parseInput(listFilter, filter, 'list')));
    return [...this.#live.values()]
      .map((live) => live.describe())
      .filter((info) => wanted.every(([field, is]) => info[field as keyof ProcessInfo] === is));
  }

  /** Looks at every live process with its descendants, memory and CPU. */
  async inspect(): Promise<ProcessInspection[]> {
    const trees = await Promise.all(
      [...this.#live.values()].map(async (live) => ({ live, members: await live.tree.look() })),
    );
    const usage = await this.#os.sample(
      trees.flatMap(({ members }) => members.map(({ pid }) => pid)),
    );
    return trees.map(({ live, members }) => live.inspect(members, usage));
  }

  /** Ends every process of a session and refuses what waits for it. */
  async reapSession(
    id: string | number,
    options?: { reason?: string | undefined },
  ): Promise<EndReport> {
    const session = parseInput(sessionId, id, 'reapSession', 'sessionId');
    const { reason } = parseInput(reapOptions, options, 'reapSession');
    const error = () =>
      new SupervisorError(
        'ABORTED',
        `Session "${session}" was reaped while this request waited; nothing was started.`,
      );
    const runs = [...this.#runs].filter((run) => run.sessionId === session);
    this.#refuseWaiting(error, session);
    const report = endAll(this.#liveOf(session), 'reaped', reason, this.#os.clock);
    // After it: what is reaped says so, and not that its run was aborted.
    for (const run of runs) run.abort(error());
    return report;
  }

  /**
   * Ends everything: refuses the new and the queued, lets what runs finish for `finishMs`, then
   * goes down the ladder in reverse start order. `start` opens the supervisor again.
   */
  async stop(options?: StopOptions): Promise<EndReport> {
    const wish = parseInput(stopOptions, options, 'stop');
    if (this.#stopping !== undefined) {
      if (wish.deadlineMs !== undefined) this.#shutdown?.hurry({ deadlineMs: wish.deadlineMs });
      return this.#stopping;
    }
    const { promise, resolve, reject } = Promise.withResolvers<EndReport>();
    // Before the first event: a listener that stops the supervisor joins this stop.
    this.#stopping = promise;
    this.#stop(wish).then(resolve, reject);
    return promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** Listens for an event; returns how to stop. What a listener throws surfaces as the host's own uncaught error. */
  on<E extends SupervisorEvent>(
    event: E,
    listener: (detail: SupervisorEvents[E]) => void,
  ): () => void {
    return this.#events.on(event, listener);
  }

  /**
   * Stops on SIGTERM, SIGINT and SIGHUP, and by force on another one: the same signal counts as another
   * after a second. Then the host dies of its signal, unless it listens for that itself (signal-exit's
   * listeners do not count); as pid 1 it exits with 128 + n. `HOST_STAYS` warns of a host that lives on.
   *
   * Calls add up, but for one with the `name` of an earlier one, whose place it takes. In a worker thread
   * it does nothing, and warns of that.
   *
   * @returns how to uninstall it
   */
  handleSignals(options: HostSignalOptions = {}): () => void {
    const handler = parseInput(hostSignalOptions, options, 'handleSignals');
    this.#hostSignals ??= new HostSignals({
      os: this.#os,
      stop: (wish, reason) => this.stop({ ...wish, reason }),
      force: () => this.#shutdown?.hurry({ force: true }),
      warn: (code, message, cause) => this.#warn(code, message, cause),
    });
    return this.#hostSignals.add(handler);
  }

  async #stop(wish: z.output<typeof stopOptions>): Promise<EndReport> {
    this.#state = 'stopping';
    this.#cancelSweep();
    this.#events.emit('stopping', { reason: wish.reason });
    this.#refuseWaiting();
    this.#shutdown = new Shutdown(this.#live, this.#os.clock, wish);
    const report = await this.#shutdown.done;
    this.#shutdown = undefined;
    this.#corridor.sessions.close();
    // Our claims count as long as our journal does.
    await Promise.all([this.#sweeps.over, this.#adoptions.over]);
    this.#registry?.close();
    this.#registry = undefined;
    this.#firstSweep = undefined;
    this.#beginning = undefined;
    this.#state = 'stopped';
    this.#events.emit('stopped', { durationMs: report.durationMs });
    this.#stopping = undefined;
    return report;
  }

  #spawn(input: SpawnRequest, dialect: Dialect, held?: Slot): SupervisedProcess {
    const request = this.#check(input, 'spawn');
    this.#assertUsable();
    this.#beginUnasked();
    const process = spawn(this.#corridor, request, dialect, held);
    // A listener that heard of the request may have stopped us before it was in the queue.
    if (this.#isClosed) this.#refuseWaiting();
    return process;
  }

  #check(input: SpawnRequest, subject: string): CheckedRequest {
    const request = parseInput(limitedRequest, input, subject);
    const limits = this.#assertSensible(request, subject);
    const { stdout, stderr } = pipedOf(request);
    // What is not seen cannot be missed.
    return { ...request, limits: stdout && stderr ? limits : { ...limits, startupMs: null } };
  }

  /** Refuses what contradicts itself, or our options; returns the limits that hold for it. */
  #assertSensible(
    {
      kind = 'agent',
      limits: wishes,
      maxWallClockMs,
    }: Pick<z.output<typeof spawnDefaults>, 'kind' | 'limits' | 'maxWallClockMs'>,
    subject: string,
  ): ProcessLimits {
    const limits = mergeLimits(this.#options.limits, kind, wishes);
    assertConsistent(limits, subject);
    assertRemembered(maxWallClockMs, this.#options.session, subject);
    return limits;
  }

  #lease(slot: Slot, session: string | undefined): SlotLease {
    const unusedMs = this.#options.pool.waitTimeoutMs;
    const lease: SlotLease = new Lease({
      slot,
      sessionId: session,
      clock: this.#os.clock,
      unusedMs,
      spawn: (request, held) =>
        this.#spawn({ sessionId: session, ...definedOnly(request) }, ONE_TO_ONE, held),
      expired: () =>
        this.#warn('LEASE_UNUSED', `A lease lay unused for ${unusedMs} ms and was released.`),
      released: () => this.#leases.delete(lease),
    });
    this.#leases.add(lease);
    return lease;
  }

  #refuseWaiting(error = () => this.#closed(), session?: string): void {
    const matches = (id: string | undefined) => session === undefined || id === session;
    for (const run of [...this.#runs]) if (matches(run.sessionId)) run.cease(error());
    for (const queued of [...this.#queued]) if (matches(queued.sessionId)) queued.refuse(error());
    this.#corridor.pool.refuse((request) => matches(request.sessionId), error);
    for (const lease of [...this.#leases]) if (matches(lease.sessionId)) lease.release();
  }

  #liveOf(session: string): LiveProcess[] {
    return [...this.#live.values()].filter((live) => live.subject.sessionId === session);
  }

  /** A session has lasted too long. */
  #expire(session: string, error: () => SupervisorError): void {
    this.#refuseWaiting(error, session);
    if (this.#options.session.onExpire === 'refuse') return;
    void endAll(this.#liveOf(session), 'wall-clock', error().message, this.#os.clock);
  }

  #health(): Health {
    const { pool, spending } = this.#corridor;
    return {
      state: this.#state,
      options: this.#options,
      instance: this.#registry?.owner.instance,
      pool,
      guardian: this.#registry?.guardian,
      rlimitTag: this.#registry?.rlimitTag,
      clockJumpMs: this.#registry?.clockJumpMs,
      spentUsd: spending.hostUsd,
    };
  }

  #wasAsked(id: string): boolean {
    return this.#live.get(id)?.cause !== undefined;
  }

  #beginUnasked(): void {
    try {
      void this.#begin();
    } catch {
      // Whoever starts a process finds the same error, and is told of it there.
    }
  }

  /** Opens the registry and, if there is a guardian, holds every start until it guards. */
  #begin(): Promise<void> | undefined {
    if (this.#firstSweep !== undefined) return this.#beginning;
    const { guarded } = this.#open();
    this.#firstSweep = this.#sweepForEver();
    this.#firstSweep.catch((error) => this.#warn('SWEEP', 'The first sweep failed.', error));
    if (guarded !== undefined) {
      const { pool, gate } = this.#corridor;
      pool.pause();
      gate.pause();
      this.#beginning = guarded.then(() => {
        pool.open();
        gate.open();
      });
    }
    const { platform } = this.#os;
    if (platform === 'linux' && this.#os.identify().pid === 1) this.#warn('NO_INIT', NO_INIT);
    return this.#beginning;
  }

  /** Sweeps now and again; resolves to the first report. */
  async #sweepForEver(): Promise<SweepReport> {
    this.#planSweep();
    return this.sweep();
  }

  #planSweep(): void {
    this.#cancelSweep();
    this.#cancelSweep = this.#os.clock.after(this.#options.sweep.intervalMs, () => {
      this.#sweepForEver().catch((error) => this.#warn('SWEEP', 'A sweep failed.', error));
    });
  }

  #open(): Registry {
    this.#assertUsable();
    const options = this.#options;
    const { stateDir, ladder, guardian, rlimitTag } = options;
    if (this.#registry === undefined) {
      this.#registry = new Registry(this.#os, {
        stateDir,
        get ladder() {
          return options.ladder;
        },
        kept: this.#kept,
        sweep: () => this.sweep(),
        rlimitTag,
        guardian: guardian ? { politeMs: ladder.termMs, forcedMs: ladder.killMs } : undefined,
        warn: (code, message, cause) => this.#warn(code, message, cause),
        forfeited: (ids, silentMs) => this.#forfeit(ids, silentMs),
      });
      const { instance } = this.#registry.owner;
      this.#tellHomeless();
      openedSupervisors().set(instance, { supervisor: new WeakRef(this), kept: this.#kept });
    }
    this.#state = 'running';
    return this.#registry;
  }

  /** Ends the agents whose conversations others may run by now. */
  #forfeit(ids: readonly string[], silentMs: number): void {
    const lost = ids.flatMap((id) => this.#live.get(id) ?? []);
    const reason = `other hosts have given this one up: it gave no sign of life for ${Math.round(silentMs / 1000)} s`;
    for (const live of lost) {
      live.isForfeit = true;
      void live.end('duplicate', {}, reason);
    }
    const ended = `${lost.length} agents whose conversations may run elsewhere by now are ended`;
    this.#warn('GIVEN_UP', `This host stood still: ${reason}. ${ended}; everything else goes on.`);
  }

  #tellHomeless(): void {
    const { homeless, stateDir } = this.#options;
    if (homeless === undefined) return;
    this.#warn(
      'NO_HOME',
      `The state directory is ${stateDir}, as the home folder cannot be written (${homeless}): what a reboot removes there is forgotten. Name one by stateDir or AGENT_SUPERVISOR_STATE_DIR.`,
    );
  }

  #assertUsable(): void {
    const reason = whyTooOld();
    if (reason !== undefined) throw new SupervisorError('UNSUPPORTED_RUNTIME', reason);
    if (this.#isClosed) throw this.#closed();
  }

  get #isClosed(): boolean {
    return this.#state === 'stopping' || this.#state === 'stopped';
  }

  #closed(): SupervisorError {
    const advice = 'Call start() once stop() has resolved to use the supervisor again.';
    return new SupervisorError(
      'STOPPING',
      `The supervisor ${this.#state === 'stopped' ? 'has stopped' : 'is stopping'}; nothing was started. ${advice}`,
    );
  }

  #warn(code: string, message: string, cause?: unknown): void {
    this.#events.emit('warning', { code, message, cause });
  }

  #spawnRate(): SpawnRate | undefined {
    const { spawnRate } = this.#options;
    return spawnRate && new SpawnRate(spawnRate, this.#os.clock);
  }

  #compose(): Corridor {
    // By getters: what is read from them at any time may have been replaced.
    const options = this.#options;
    const limiter = new Limiter(this.#os, {
      get intervalMs() {
        return options.sampling.intervalMs;
      },
    });
    const sessions = new Sessions({
      clock: this.#os.clock,
      emit: this.#events.emit,
      get options() {
        return options.session;
      },
      open: (id, create) => this.#sessionFiles.open(id, create),
      live: (id) => this.#liveOf(id).length,
      expired: (id, error) => this.#expire(id, error),
    });
    return {
      os: this.#os,
      options,
      emit: this.#events.emit,
      pool: new Pool(options.pool.concurrency, this.#os.clock),
      gate: new Pool(Number.POSITIVE_INFINITY, this.#os.clock),
      rate: this.#spawnRate(),
      live: this.#live,
      queued: this.#queued,
      sessions,
      spending: new Spending({
        sessions,
        days: new DayFiles({
          os: this.#os,
          stateDir: () => this.#options.stateDir,
          warn: (message, cause) => this.#warn('BUDGET', message, cause),
        }),
        running: () => this.#live.values(),
      }),
      conversations: new Conversations({
        clock: this.#os.clock,
        emit: this.#events.emit,
        get patienceMs() {
          return takeoverPatienceMs(options.ladder);
        },
        // While we stop, an agent may still tell which conversation it runs.
        claims: () => (this.#registry ?? this.#open()).claims,
      }),
      holders: () =>
        [...this.#live.values()].filter((live) => live.holdsSlot).map((live) => live.record.id),
      nextId: () => `${this.#idPrefix}-${++this.#lastId}`,
      registry: () => this.#open(),
      arm: (process, limits) => limiter.arm(process, limits),
    };
  }
}
