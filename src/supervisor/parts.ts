import { definedOnly } from '../check.ts';
import { agentRequest } from '../claude-code/agent-request.ts';
import { type JoinMachine, type Machine, SharedMachine } from '../containment/machine.ts';
import { SupervisorError } from '../errors.ts';
import { builtin } from '../os/builtin.ts';
import type { Os } from '../os/os.ts';
import { serialize } from '../os/wait.ts';
import { Spending } from '../policy/budget.ts';
import { Conversations } from '../policy/conversations.ts';
import { Limiter } from '../policy/limits/limiter.ts';
import { Pool } from '../policy/pool.ts';
import { Sessions } from '../policy/session.ts';
import type { Slot } from '../policy/slot.ts';
import { SpawnRate } from '../policy/spawn-rate.ts';
import { Admission } from '../process/admission.ts';
import { cleanUpFor } from '../process/dead-cleanup.ts';
import { prepareLaunch } from '../process/external-launch.ts';
import type { SupervisedProcess } from '../process/handle.ts';
import type { ManagedProcess } from '../process/managed-process.ts';
import { observeAgent } from '../process/observed-agents.ts';
import { recordProcesses } from '../process/recorder.ts';
import type { CheckedRequest, SpawnRequest } from '../process/request.ts';
import { spawn } from '../process/start.ts';
import type { Supervision } from '../process/supervision.ts';
import type { EndReport } from '../reports.ts';
import { SessionFiles } from '../store/session-file.ts';
import { DayFiles } from '../store/spend-log.ts';
import type { LadderOptions } from '../tree/ladder.ts';
import { endAll } from '../tree/termination.ts';
import { Emitter } from './emitter.ts';
import {
  type DefinedService,
  type OpenedSupervisor,
  openedSupervisors,
  type SupervisorInternals,
  type SupervisorSnapshot,
} from './internals.ts';
import { type AcquireOptions, SlotLease } from './lease.ts';
import { Lifecycle } from './lifecycle.ts';
import { type ResolvedOptions, resolveOptions, type SupervisorOptions } from './options.ts';
import { changesBetween, describeChanges } from './replace-options.ts';
import {
  checkHookDefaults,
  checkLaunch,
  checkRequest,
  type HookDefaults,
  type HookOptions,
} from './requests.ts';
import { Runs } from './runs.ts';
import { SupervisorPool } from './supervisor-pool.ts';
import { Sweeper } from './sweeper.ts';
import { Waiting } from './waiting.ts';

/** The longest wait for another owner's agent to end and its conversation lock to be free. */
const takeoverPatienceMs = ({ stdinEofMs, termMs, killMs }: LadderOptions): number =>
  2 * (stdinEofMs + termMs + killMs) + 5000;

/** Warnings of what the host's own code has just done, at each reload perhaps: its operator is not told. */
const SELF_INFLICTED: ReadonlySet<string> = new Set([
  'OPTIONS_REPLACED',
  'DEFINITION_REPLACED',
  'SESSION_SHARED',
]);

const joinShared: JoinMachine = (context) => new SharedMachine(context);

/** The checked terms of a lease. */
interface LeaseTerms extends Pick<AcquireOptions, 'keys' | 'unusedMs'> {
  readonly sessionId?: string | undefined;
}

/** The parts of one supervisor, put together. */
export class SupervisorParts {
  readonly os: Os;
  readonly events: Emitter;
  /** The live processes, in start order. */
  readonly live = new Map<string, ManagedProcess>();
  /** Processes that were let go, as long as their trees live. */
  readonly disowned = new Map<string, ManagedProcess>();
  readonly launching = new Set<ManagedProcess>();
  readonly services = new Map<string, DefinedService>();
  readonly adoptions = serialize();
  readonly runs: Runs;
  readonly waiting: Waiting;
  readonly pool: SupervisorPool;
  readonly sweeper: Sweeper;
  readonly lifecycle: Lifecycle;
  readonly #supervisor: OpenedSupervisor;
  readonly #join: JoinMachine;
  readonly #sessionFiles: SessionFiles;
  readonly #kept = new Set<string>();
  readonly #idPrefix = crypto.randomUUID().slice(0, 8);
  #lastId = 0;
  #options: ResolvedOptions;
  #supervision: Supervision;

  constructor(supervisor: OpenedSupervisor, options: SupervisorOptions, os: Os, join = joinShared) {
    this.#supervisor = supervisor;
    this.os = os;
    this.#join = join;
    this.#options = resolveOptions(options, os);
    this.events = new Emitter(supervisor, ({ code, message }) => {
      if (!SELF_INFLICTED.has(code)) os.emitWarning(code, message);
    });
    this.#sessionFiles = new SessionFiles({
      os,
      stateDir: () => this.#options.stateDir,
      bootId: () => (this.lifecycle.registry?.owner ?? os.identify()).bootId,
      warn: (message, cause) => this.warn('SESSION', message, cause),
    });
    this.runs = new Runs({
      os,
      emit: this.events.emit,
      stateDir: () => this.#options.stateDir,
      wasAsked: (id) => this.#wasAsked(id),
      assertUsable: () => this.lifecycle.assertUsable(),
    });
    const pool = () => this.#supervision.admission.pool;
    this.waiting = new Waiting(this.runs, pool);
    this.pool = new SupervisorPool(pool, os.clock);
    this.sweeper = this.#makeSweeper();
    this.lifecycle = this.#makeLifecycle();
    this.#supervision = this.#compose();
    // Before any listener of the host's.
    recordProcesses((event, listener) => this.events.on(event, listener), this.live);
  }

  get options(): ResolvedOptions {
    return this.#options;
  }

  get supervision(): Supervision {
    return this.#supervision;
  }

  readonly warn = (code: string, message: string, cause?: unknown): void => {
    this.events.emit('warning', { code, message, cause });
  };

  /** Takes new options: all of them before the first use, and later what may change then. */
  configure(input: SupervisorOptions): void {
    const next = resolveOptions(input, this.os);
    if (this.#isUnused) {
      this.#options = next;
      this.#supervision = this.#compose();
      return;
    }
    const changes = changesBetween(this.#options, next);
    if (changes.length === 0) return;
    const { sweep, spawnRate, pool } = this.#options;
    // In place: all parts read the new ones from now on.
    Object.assign(this.#options, { spawnRate: undefined }, next);
    const { admission } = this.#supervision;
    const { isDeepStrictEqual } = builtin('node:util');
    // The size that `pool.resize` has set holds until other options are named.
    if (!isDeepStrictEqual(pool, next.pool)) admission.pool.configure(next.pool);
    this.lifecycle.registry?.machine?.rewrite();
    if (!isDeepStrictEqual(spawnRate, next.spawnRate)) admission.rate = this.#spawnRate();
    if (sweep.intervalMs !== next.sweep.intervalMs && this.lifecycle.state === 'running')
      this.sweeper.plan();
    this.warn('OPTIONS_REPLACED', `Options were replaced: ${describeChanges(changes)}.`);
  }

  check(input: SpawnRequest, subject = 'spawn'): CheckedRequest {
    return checkRequest(input, this.#options, subject);
  }

  spawn(request: CheckedRequest, held?: Slot): SupervisedProcess {
    this.lifecycle.assertUsable();
    this.beginUnasked();
    const process = spawn(this.#supervision, request, held);
    // A listener that heard of the request may have stopped us before it was in the queue.
    if (this.lifecycle.isClosed) void this.waiting.refuse(() => this.lifecycle.refusal());
    return process;
  }

  /** Checks the defaults of a spawn hook; returns a function that starts its processes, on `held` if given. */
  hook(defaults: HookDefaults): (options: HookOptions, held?: Slot) => SupervisedProcess {
    checkHookDefaults(defaults, this.#options);
    return ({ command, args, cwd, env, signal }, held) => {
      const asked = { ...defaults, command, args, ...definedOnly({ cwd, env, signal }) };
      const { emptyValue } = this.#options.args;
      const request = agentRequest(this.check(asked), emptyValue, this.os.environment());
      const { hookTimeoutMs: queueTimeoutMs } = this.#options.pool;
      return this.spawn({ ...request, waitsForCap: true, queueTimeoutMs }, held);
    };
  }

  lease(
    slot: Slot,
    { sessionId, keys, unusedMs = this.#options.pool.waitTimeoutMs }: LeaseTerms,
  ): SlotLease {
    // What is no object is told as what it is.
    const ofLease = <T extends object>(fields: T, caller: string): T => {
      if (!isObject(fields)) return fields;
      if ('keys' in fields && fields.keys !== undefined) throw keysOfLease();
      if ('slot' in fields && fields.slot === false) throw slotOfLease(caller);
      return { sessionId, ...definedOnly(fields), ...definedOnly({ keys }) };
    };
    const lease = new SlotLease({
      slot,
      sessionId,
      supervisor: this.#supervisor,
      clock: this.os.clock,
      unusedMs,
      spawn: (request, held) => this.spawn(this.check(ofLease(request, 'lease.spawn')), held),
      hook: (defaults) => this.hook(ofLease(defaults, 'lease.spawnHook')),
      launch: async (options, held) => {
        const request = checkLaunch(ofLease(options, 'lease.launch'), this.#options);
        this.lifecycle.assertUsable();
        await this.lifecycle.begin();
        return prepareLaunch(this.#supervision, request, held);
      },
      adopt: (launch, pid) =>
        this.adoptions.run(async () => launch.adopt(pid, await this.lifecycle.open().recovery())),
      expired: () =>
        this.warn(
          'LEASE_UNUSED',
          `A lease lay unused for ${unusedMs} ms and was released. acquire({ unusedMs }) sets another time, null none.`,
        ),
      released: () => this.waiting.leases.delete(lease),
    });
    this.waiting.leases.add(lease);
    return lease;
  }

  /** Begins for a start, which finds the same error and tells it to its caller. */
  beginUnasked(): void {
    try {
      void this.lifecycle.begin();
    } catch {
      // Told there.
    }
  }

  /** Ends all of a session: what waits, what runs, and the runs that would start it again. */
  async reapSession(session: string, reason: string | undefined): Promise<EndReport> {
    const error = () =>
      new SupervisorError(
        'ABORTED',
        `Session "${session}" was reaped while this request waited; nothing was started.`,
      );
    const runs = this.runs.of(session);
    const revoked = this.waiting.refuse(error, session);
    const report = endAll(this.#liveOf(session), 'reaped', reason, this.os.clock);
    // After it: what is reaped says so, and not that its run was aborted.
    for (const run of runs) run.abort(error());
    await revoked;
    return report;
  }

  internals(): SupervisorInternals {
    return {
      os: this.os,
      stateDir: this.#options.stateDir,
      emit: this.events.emit,
      services: this.services,
      warn: this.warn,
      check: (request, subject) => void this.check(request, subject),
      spawnServer: (request, tellsReady = false) =>
        this.spawn({ ...this.check(request), servesOthers: true, tellsReady }),
      started: (id) => this.live.get(id)?.slot?.started(),
      recovery: () => this.lifecycle.open().recovery(),
      heartbeat: this.lifecycle.registry?.owner.heartbeat,
      live: this.live,
      snapshot: () => this.#snapshot(),
      session: (id) => this.#supervision.admission.sessions.describe(id),
      recordOf: (id) => this.live.get(id)?.record,
      membersOf: async (id) => (await this.live.get(id)?.tree.liveMembers()) ?? [],
      wasAsked: (id) => this.#wasAsked(id),
    };
  }

  #snapshot(): SupervisorSnapshot {
    const { pool, spending, countedByCap } = this.#supervision.admission;
    const { state, registry } = this.lifecycle;
    return {
      state,
      options: this.#options,
      instance: registry?.owner.instance,
      pool,
      countedByCap,
      guardian: registry?.guardian,
      rlimitTag: registry?.rlimitTag,
      clockJumpMs: registry?.clockJumpMs,
      spentUsd: spending.hostUsd,
    };
  }

  /** Nothing has used the options so far. */
  get #isUnused(): boolean {
    return this.lifecycle.state === 'new' && this.#lastId === 0 && this.waiting.leases.size === 0;
  }

  #wasAsked(id: string): boolean {
    return this.live.get(id)?.cause !== undefined;
  }

  #liveOf(session: string): ManagedProcess[] {
    return [...this.live.values()].filter((live) => live.subject.sessionId === session);
  }

  /** Ends a session that has lasted too long, or only refuses what waits for it. */
  #expire(session: string, error: () => SupervisorError): void {
    void this.waiting.refuse(error, session);
    if (this.#options.session.onExpire === 'refuse') return;
    void endAll(this.#liveOf(session), 'wall-clock', error().message, this.os.clock);
  }

  #warnOfNoHome(): void {
    const { homeless, stateDir } = this.#options;
    if (homeless === undefined) return;
    this.warn(
      'NO_HOME',
      `The state directory is ${stateDir}, as the home folder cannot be written (${homeless}): what a reboot removes there is forgotten. Name one by stateDir or AGENT_SUPERVISOR_STATE_DIR.`,
    );
  }

  /** The slots that this host shares with the others of the machine. */
  #machine(): Machine | undefined {
    if (this.#options.pool.machineConcurrency === undefined) return undefined;
    const { isClosed, registry } = this.lifecycle;
    return (isClosed ? registry : this.lifecycle.open())?.machine;
  }

  #spawnRate(): SpawnRate | undefined {
    const { spawnRate } = this.#options;
    return spawnRate && new SpawnRate(spawnRate, this.os.clock);
  }

  #makeSweeper(): Sweeper {
    return new Sweeper({
      clock: this.os.clock,
      live: this.live,
      launching: this.launching,
      kept: this.#kept,
      sessionFiles: this.#sessionFiles,
      options: () => this.#options,
      sessions: () => this.#supervision.admission.sessions,
      registry: () => this.lifecycle.open(),
      swept: (report) => this.events.emit('swept', report),
      warn: (warning) => this.events.emit('warning', warning),
    });
  }

  #makeLifecycle(): Lifecycle {
    return new Lifecycle({
      os: this.os,
      emit: this.events.emit,
      live: this.live,
      disowned: this.disowned,
      kept: this.#kept,
      sweeper: this.sweeper,
      waiting: this.waiting,
      options: () => this.#options,
      opened: (registry) => {
        const { owner } = registry;
        const limit = () => this.#options.pool.machineConcurrency;
        registry.joinMachine((context) => this.#join({ ...context, limit }));
        this.#warnOfNoHome();
        const supervisor = new WeakRef(this.#supervisor);
        openedSupervisors().set(owner.instance, { supervisor, kept: this.#kept });
      },
      cleanUp: async (record) => {
        const { registry } = this.lifecycle;
        if (registry !== undefined) await cleanUpFor(record, this.#supervision, registry);
      },
      ended: () => {
        this.#supervision.admission.sessions.close();
        return Promise.all([this.sweeper.idle, this.adoptions.idle]);
      },
    });
  }

  #compose(): Supervision {
    // By getters: what is read from them at any time may have been replaced.
    const options = this.#options;
    const limiter = new Limiter(this.os, {
      get intervalMs() {
        return options.sampling.intervalMs;
      },
    });
    const sessions = new Sessions({
      clock: this.os.clock,
      emit: this.events.emit,
      get options() {
        return options.session;
      },
      open: (id, create) => this.#sessionFiles.open(id, create),
      live: (id) => this.#liveOf(id).length,
      expired: (id, error) => this.#expire(id, error),
    });
    const admission = new Admission({
      clock: this.os.clock,
      options,
      pool: new Pool({
        ...{ clock: this.os.clock, emit: this.events.emit, options: options.pool },
        machine: () => this.#machine(),
      }),
      sessions,
      rate: this.#spawnRate(),
      live: this.live,
      spending: new Spending({
        sessions,
        days: new DayFiles({
          os: this.os,
          stateDir: () => this.#options.stateDir,
          warn: (message, cause) => this.warn('BUDGET', message, cause),
        }),
        running: () => this.live.values(),
      }),
      conversations: new Conversations({
        clock: this.os.clock,
        emit: this.events.emit,
        get patienceMs() {
          return takeoverPatienceMs(options.ladder);
        },
        // While we stop, an agent may still tell which conversation it runs.
        locks: () => (this.lifecycle.registry ?? this.lifecycle.open()).conversationLocks,
      }),
      registry: () => this.lifecycle.open(),
      observe: (key, env) => observeAgent(key, env ?? this.os.environment(), this),
      idleLeases: () => [...this.waiting.leases].filter(({ isIdle }) => isIdle).length,
    });
    return {
      os: this.os,
      options,
      emit: this.events.emit,
      admission,
      limits: limiter,
      live: this.live,
      disowned: this.disowned,
      launching: this.launching,
      queued: this.waiting.queued,
      nextId: () => `${this.#idPrefix}-${++this.#lastId}`,
      registry: () => this.lifecycle.open(),
    };
  }
}

function keysOfLease(): SupervisorError {
  return new SupervisorError(
    'INVALID_OPTIONS',
    'lease: "keys" must be left out: a lease holds its own from its start. Pass them to acquire({ keys }).',
    { data: { field: 'keys' } },
  );
}

function slotOfLease(caller: string): SupervisorError {
  return new SupervisorError(
    'INVALID_OPTIONS',
    `${caller}: "slot" is false, but the process runs on the slot of the lease. Leave it out, or start it by the supervisor itself.`,
    { data: { field: 'slot', value: false } },
  );
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}
