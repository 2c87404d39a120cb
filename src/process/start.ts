import type { ChildProcess } from 'node:child_process';
import { basename } from 'node:path';
import { normalize } from '../claude-code/arguments.ts';
import type { Registry } from '../containment/registry.ts';
import { isSupervisorError, SupervisorError } from '../errors.ts';
import { callHost } from '../events.ts';
import { COOKIE_VARIABLE, type Launched, type LaunchFailure } from '../os/os.ts';
import type { Slot } from '../policy/pool.ts';
import type { ExitReport, ProcessName } from '../reports.ts';
import { classifyExit } from '../tree/exit-cause.ts';
import { watchStreams } from './activity.ts';
import {
  assertMayStart,
  budgetOf,
  enterSession,
  learnConversation,
  ownPool,
  wasTakenOver,
  wishOf,
} from './admission.ts';
import { neededBy, restoreEntrypoint, sanitize, withoutAgentView } from './environment.ts';
import { Handle, type SupervisedProcess } from './handle.ts';
import { quietStreams } from './ignored-streams.ts';
import { LiveProcess } from './managed-process.ts';
import { type Admission, QueuedStart } from './queue.ts';
import { secretValues } from './redaction.ts';
import type { CheckedRequest } from './request.ts';
import { StderrTail } from './stderr-tail.ts';
import { pipedOf } from './stdio-options.ts';
import type { Corridor, Dialect, Passage, WayBack } from './supervision.ts';

/** Starts a process in this tick if it may, else queues it; `held` is a slot that the caller already has. */
export function spawn(
  corridor: Corridor,
  request: CheckedRequest,
  dialect: Dialect,
  held?: Slot,
): SupervisedProcess {
  const handle = new Handle(corridor.nextId(), pipedOf(request), request.input);
  // A kind is a label: whatever it says, what comes through the hook is an agent.
  const { slot: needsSlot = dialect.isClaude || request.kind === 'agent' } = request;
  const holdsSlot = needsSlot || held !== undefined;
  const begun = { ...corridor, request, dialect, handle, holdsSlot, session: undefined };
  const pool = held ? ownPool(held) : needsSlot ? corridor.pool : corridor.gate;
  corridor.emit('requested', {
    id: handle.id,
    kind: request.kind,
    sessionId: request.sessionId,
  });
  try {
    const passage = { ...begun, session: enterSession(begun) };
    const context = { ...corridor, pool, isClaude: dialect.isClaude };
    new QueuedStart(context, handle, request, wishOf(passage), {
      start: (admission) => start(passage, admission),
      refuse: (error, signal) => refuse(passage, undefined, error, signal),
    });
  } catch (error) {
    refuse(begun, held, error);
  }
  return handle;
}

/** Goes out: everything from here to the journal happens in one tick, so that no death falls in between. */
function start(passage: Passage, admission: Admission): void {
  const { os, request, handle } = passage;
  try {
    assertMayStart(passage, passage.registry());
    // Asked again: what was just looked at may have warned the host, which may have stopped us.
    const registry = passage.registry();
    const env = childEnvironment(passage, registry);
    const { rlimits, tag } = registry.tag(handle.id, request.outlivesHost);
    const launched = os.launch({
      command: request.command,
      args: normalize(request.args ?? [], passage.dialect.emptyValue),
      cwd: request.cwd,
      env,
      outlivesHost: request.outlivesHost,
      stdin: request.stdin,
      stdout: request.stdout,
      stderr: request.stderr,
      rlimits,
    });
    if (launched.child !== undefined) {
      // Before anything of the host's runs, which may start more.
      passage.rate?.count(request.sessionId);
      run(passage, registry, admission, launched, env, tag);
    } else {
      handle.queue();
      void launched.failure.then((failure) => refuse(passage, admission, refusalOf(failure)));
    }
  } catch (error) {
    refuse(passage, admission, error as SupervisorError);
  }
}

function childEnvironment({ os, request, dialect, handle, options }: Passage, registry: Registry) {
  const hostEnv = os.environment();
  const sanitized = sanitize(request.env ?? hostEnv, {
    ...options.environment,
    keep: [...(options.environment.keep ?? []), ...neededBy(request.command, os)],
    hostEnv,
    ignoreCase: os.platform === 'win32',
  });
  const env = dialect.isClaude ? withoutAgentView(restoreEntrypoint(sanitized).env) : sanitized.env;
  env[COOKIE_VARIABLE] = registry.cookie(handle.id, request.outlivesHost);
  return env;
}

function run(
  passage: Passage,
  registry: Registry,
  admission: Admission,
  { child, unrun }: Running,
  env: Readonly<Record<string, string>>,
  tag: string | undefined,
): void {
  const { os, request, handle, emit, session, live: all } = passage;
  const pid = child.pid as number;
  const { bootId, pidNamespace } = registry.owner;
  const record = {
    id: handle.id,
    pid,
    startTime: startTimeOf(os, pid),
    bootId,
    pidNamespace,
    group: os.platform !== 'win32',
    kind: request.kind,
    sessionId: request.sessionId,
    command: basename(request.command).slice(0, 256),
    cwd: request.cwd ?? '',
    startedAt: os.clock.now(),
    ...(request.outlivesHost ? { outlivesHost: true } : {}),
    ...(tag === undefined ? {} : { tag }),
  };
  const learn = (sessionId: string) => learnConversation(passage, admission, live, sessionId);
  const live: LiveProcess = new LiveProcess(passage, {
    handle,
    child,
    activity: request.outlivesHost
      ? undefined
      : watchStreams(child, request.limits, passage.dialect.isClaude ? learn : undefined),
    record,
    segment: registry.segment(handle.id, request.outlivesHost),
    signal: request.signal,
    holdsSlot: passage.holdsSlot,
    budget: budgetOf(passage),
    limits: request.limits,
  });
  all.set(handle.id, live);
  for (const turn of admission.turns) turn.attach(live);
  const tail = new StderrTail();
  child.stderr?.on('data', (chunk: Uint8Array) => tail.push(chunk));
  const stderrTail = () => (tail.isEmpty ? '' : tail.text(secretValues(env)));
  child.once('exit', (code, signal) => {
    const refusal = () => refusalOf(unrun?.(code, stderrTail()));
    void comeBack(passage, registry, admission, live, { code, signal, stderrTail, refusal });
  });
  handle.control(live);
  handle.attach(child);
  // Each of these may warn the host, which may end all that it finds: nothing is to be missing by now.
  registry.add(record);
  registry.history.started(registry.owner.instance, record);
  session?.started();
  live.disarm = passage.arm(live, request.limits);
  if (record.startTime === undefined) void live.identify(registry);
  emit('started', { ...live.subject, pid });
  callHost(() => request.onSpawn?.(handle));
}

function refusalOf(failure: LaunchFailure): SupervisorError;
function refusalOf(failure: LaunchFailure | undefined): SupervisorError | undefined;
function refusalOf(failure: LaunchFailure | undefined): SupervisorError | undefined {
  return failure && new SupervisorError(failure.code, failure.message, { cause: failure.cause });
}

/** What cannot be told now, as no descriptor is free, is no reason to lose what has just been started. */
function startTimeOf({ processes }: Passage['os'], pid: number): string | undefined {
  try {
    return processes.read?.(pid)?.startTime;
  } catch {
    return undefined;
  }
}

export interface End {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Nobody was told how it ended. */
  readonly unseen?: boolean;
  stderrTail(): string;
  /** Why the system refused the program after all; asked when its last words have been read. */
  refusal?(): SupervisorError | undefined;
}

/** A launch that worked. */
type Running = Extract<Launched, { child: ChildProcess }>;

/** Comes back, the way it went out: the process is dead, and what is left of its tree follows it. */
export async function comeBack(
  passage: WayBack,
  registry: Registry,
  admission: Admission | undefined,
  live: LiveProcess,
  { code, signal, unseen, stderrTail, refusal }: End,
): Promise<void> {
  const { os, request, handle, options, emit, session, live: all } = passage;
  // Before anything of the host's runs: from now on the number may be given out again.
  live.tree.letGo();
  live.disarm();
  // Before anything is written of it.
  registry.catchUp();
  // Taken in any case: an order that comes too late is not to lie about.
  const ordered = registry.ordered(handle.id);
  live.cause ??= wasTakenOver(admission, registry, handle.id) ? 'duplicate' : ordered;
  const verdict = classifyExit(code, signal, { requested: live.cause, unseen });
  const wasEnding = live.ending || live.seenDead;
  // Before anyone hears of it: whoever wants it ended from now on ends nothing that is kept.
  live.kept = !wasEnding && (request.leftovers ?? options.leftovers) === 'keep';
  handle.exit(code, signal);
  live.wake();
  const streamsQuiet = live.child && quietStreams(live.child, os.clock);

  // What is ended already looks for itself, and nothing in it is left over.
  const remaining = wasEnding ? [] : await live.tree.look();
  // Who may not be signalled is named, and waited for by nobody.
  const leftovers = (wasEnding ? [] : [...remaining, ...live.tree.denied]).map(
    ({ pid, command }) => ({ pid, command }),
  );
  if (leftovers.length > 0) endLeftovers(passage, registry, live, leftovers);
  if (live.ending) await live.treeDeath();
  await streamsQuiet;

  const error = refusal?.();
  const cause = error === undefined ? verdict.cause : 'not-started';
  registry.remove(live.record);
  all.delete(handle.id);
  if (!live.isForfeit) session?.ended(cause);
  admission?.release();
  const report: ExitReport = {
    ...live.subject,
    pid: live.record.pid,
    code,
    signal,
    ...verdict,
    cause,
    forced: live.forced,
    durationMs: os.clock.monotonicMs() - live.startedAtMs,
    pausedMs: live.gaps.pausedMs,
    stderrTail: stderrTail(),
    leftovers,
    ...(error && { error }),
  };
  live.gaps.stop();
  if (!live.isForfeit) registry.history.ended(registry.owner.instance, live.record, report);
  handle.settle(report);
  emit('exited', report);
}

function endLeftovers(
  passage: WayBack,
  registry: Registry,
  live: LiveProcess,
  processes: readonly ProcessName[],
): void {
  const { emit } = passage;
  const action = live.kept ? 'keep' : 'terminate';
  const advice = "To let such processes live on, spawn with leftovers: 'keep'.";
  if (live.kept) registry.keep(live.record.id);
  emit('leftovers', { ...live.subject, processes, action, advice });
  if (!live.kept) void live.climbDown();
}

/** Ends a passage that leads to no process. `signal`: the caller took the request back. */
function refuse(
  passage: Passage,
  admission: { release(): void } | undefined,
  reason: unknown,
  signal?: NodeJS.Signals,
): void {
  const { handle, request, emit } = passage;
  const error = isSupervisorError(reason)
    ? reason
    : new SupervisorError('SPAWN_FAILED', `The process could not be started: ${String(reason)}`, {
        cause: reason,
      });
  const subject = { id: handle.id, kind: request.kind, sessionId: request.sessionId };
  admission?.release();
  if (signal === undefined) handle.refuse(error);
  else handle.cancel(error, signal);
  handle.settle({
    ...subject,
    pid: undefined,
    code: null,
    signal: null,
    cause: 'not-started',
    intentional: signal !== undefined,
    forced: false,
    durationMs: 0,
    pausedMs: 0,
    stderrTail: '',
    leftovers: [],
    error,
  });
  emit('refused', { ...subject, error });
}
