import type { ChildProcess } from 'node:child_process';
import { basename } from 'node:path';
import type { Registry } from '../containment/registry.ts';
import { SupervisorError } from '../errors.ts';
import { callHost } from '../os/call-host.ts';
import { COOKIE_VARIABLE, type Launched, type LaunchFailure, type Os } from '../os/os.ts';
import { QueueEntry } from '../policy/queue-entry.ts';
import type { Slot } from '../policy/slot.ts';
import type { ExitReport } from '../reports.ts';
import type { SupervisionRecord } from '../store/formats.ts';
import { classifyExit, mayBeOomKill } from '../tree/exit-cause.ts';
import { watchStreams } from './activity.ts';
import { type Answer, refusalFor } from './admission.ts';
import { type CleanupCommand, cleanupFailed, cleanupRequest, failureOf } from './cleanup.ts';
import { disown } from './disown.ts';
import { neededBy, sanitize } from './environment.ts';
import type { SupervisedProcess } from './handle.ts';
import { quietStreams } from './ignored-streams.ts';
import { endLeftovers, keepsAll } from './leftovers.ts';
import { ManagedProcess } from './managed-process.ts';
import { waitInQueue } from './queue.ts';
import { secretValues } from './redaction.ts';
import type { CheckedRequest } from './request.ts';
import { watchStart } from './starting.ts';
import { StderrTail } from './stderr-tail.ts';
import type { Supervision } from './supervision.ts';

/**
 * Starts a process in this tick if it may, else queues it.
 *
 * `held` is a slot that the caller already has.
 */
export function spawn(s: Supervision, request: CheckedRequest, held?: Slot): SupervisedProcess {
  const p = new ManagedProcess(s, s.nextId(), request, held);
  s.emit('requested', p.subject);
  proceed(s, p, s.admission.ask(p), () => start(s, p));
  return p.handle;
}

/** Acts on the answer to a request; `begin` is called when the process may start. */
export function proceed(
  s: Supervision,
  p: ManagedProcess,
  answer: Answer,
  begin: () => void,
): void {
  if (answer instanceof SupervisorError) refuse(s, p, answer);
  else if (answer instanceof QueueEntry)
    waitInQueue(s, p, answer, (later) => proceed(s, p, later, begin));
  else begin();
}

/**
 * Starts a process that has its slot.
 *
 * Everything up to the journal entry happens in one tick, so that the host cannot end in between.
 */
function start(s: Supervision, p: ManagedProcess): void {
  p.state = 'starting';
  const refusal = s.admission.recheck(p);
  if (refusal !== undefined) {
    refuse(s, p, refusal);
    return;
  }
  try {
    // Asked again: the recheck may have emitted a warning, and the host's listener may have called `stop`.
    launch(s, p, s.registry());
  } catch (error) {
    refuse(s, p, refusalFor(error));
  }
}

/** Launches a process that was admitted, or that cleans up. */
function launch(s: Supervision, p: ManagedProcess, registry: Registry): void {
  const { request } = p;
  const env = environmentOf(s, p, registry);
  const { rlimits, tag } = registry.tag(p.id, request.outlivesHost);
  const launched = s.os.launch({
    command: request.command,
    args: request.args ?? [],
    cwd: request.cwd,
    env,
    outlivesHost: request.outlivesHost,
    stdin: request.stdin,
    stdout: request.stdout,
    stderr: request.stderr,
    rlimits,
  });
  if (launched.child === undefined) {
    p.handle.queue();
    void launched.failure.then((failure) => refuse(s, p, refusalOf(failure)));
    return;
  }
  const budget = request.cleansUp ? undefined : s.admission.budgetOf(p);
  if (!request.cleansUp) s.admission.count(p);
  const record = recordOf(s.os, p, { pid: launched.child.pid as number, registry, tag });
  p.run({ child: launched.child, record, registry, ...(budget && { budget }) });
  run(s, p, launched, env);
}

/**
 * Runs the cleanup of a process whose tree is dead.
 *
 * It is run at least once: if the host dies over it, its guardian runs it.
 */
async function cleanUp(s: Supervision, p: ManagedProcess): Promise<ExitReport['cleanup']> {
  const { cleanup } = p.request;
  if (cleanup === undefined) return undefined;
  const failure = await runCleanup(s, p.registry, { ...cleanup, env: p.request.env });
  p.registry.cleanedUp(p.id);
  if (failure === undefined) return 'done';
  s.emit('warning', cleanupFailed(cleanup.name, p.subject.id, failure));
  return 'failed';
}

/** Runs a cleanup command as a process of its own, in no pool; resolves to its failure, if it failed. */
export async function runCleanup(
  s: Supervision,
  registry: Registry,
  command: CleanupCommand,
): Promise<string | undefined> {
  const p = new ManagedProcess(s, s.nextId(), cleanupRequest(command));
  try {
    launch(s, p, registry);
  } catch (error) {
    return (error as Error).message;
  }
  return failureOf(await p.exited);
}

/** A successful launch. */
type Running = Extract<Launched, { child: ChildProcess }>;

function run(
  s: Supervision,
  p: ManagedProcess,
  { child, unrun }: Running,
  env: Readonly<Record<string, string>>,
): void {
  const { request, registry } = p;
  const onOutput = watchStart(s, p);
  if (!request.outlivesHost) {
    const isAgent = request.output === 'stream-json';
    const learn = (sessionId: string) => s.admission.learnConversation(p, sessionId);
    p.activity = watchStreams(child, request.limits, {
      onSessionId: isAgent ? learn : undefined,
      onUsageLimit: s.options.pool.pauseOnUsageLimit ? s.admission.pauseFor : undefined,
      onOutput,
    });
  }
  s.live.set(p.id, p);
  const tail = new StderrTail();
  child.stderr?.on('data', (chunk: Uint8Array) => tail.push(chunk));
  const stderrTail = () => (tail.isEmpty ? '' : tail.text(secretValues(env)));
  child.once('exit', (code, signal) => {
    const refusal = () => refusalOf(unrun?.(code, stderrTail()));
    void finish(s, p, { code, signal, stderrTail, refusal });
  });
  p.handle.attach(child);
  // Each of these calls may warn the host, which may end every process it finds: all must be in place by now.
  registry.add(p.record);
  if (request.cleanup !== undefined) registry.guardCleanup(p.record, { ...request.cleanup, env });
  p.disarm = s.limits.arm(p, request.limits);
  p.disown = () => disown(s, p);
  if (p.record.startTime === undefined) void p.identify();
  s.emit('started', { ...p.subject, pid: p.record.pid });
  callHost(() => request.onSpawn?.(p.handle));
}

/** The environment of a process: what it asked for or the host's own, sanitized, with its cookie. */
export function environmentOf(
  { os, options }: Supervision,
  p: ManagedProcess,
  registry: Registry,
): Record<string, string> {
  const { command, env: asked, defaultEnv, outlivesHost } = p.request;
  const hostEnv = os.environment();
  const { env } = sanitize(asked ?? hostEnv, {
    ...options.environment,
    keep: [...(options.environment.keep ?? []), ...neededBy(command, os)],
    hostEnv,
    ignoreCase: os.platform === 'win32',
  });
  const whole = defaultEnv === undefined ? env : { ...defaultEnv, ...env };
  whole[COOKIE_VARIABLE] = registry.cookie(p.id, outlivesHost);
  return whole;
}

function recordOf(
  os: Os,
  { id, request }: ManagedProcess,
  { pid, registry, tag }: { pid: number; registry: Registry; tag: string | undefined },
): SupervisionRecord {
  const { bootId, pidNamespace } = registry.owner;
  return {
    id,
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
    ...(request.cleanup === undefined ? {} : { cleanup: request.cleanup.name }),
    ...(tag === undefined ? {} : { tag }),
    ...(request.keys === undefined ? {} : { keys: request.keys }),
  };
}

/**
 * Reads the start time, or returns `undefined` if no file descriptor is free.
 *
 * A missing start time is no reason to lose a process that has just been started.
 */
function startTimeOf({ processes }: Os, pid: number): string | undefined {
  try {
    return processes.read?.(pid)?.startTime;
  } catch {
    return undefined;
  }
}

function refusalOf(failure: LaunchFailure): SupervisorError;
function refusalOf(failure: LaunchFailure | undefined): SupervisorError | undefined;
function refusalOf(failure: LaunchFailure | undefined): SupervisorError | undefined {
  return failure && new SupervisorError(failure.code, failure.message, { cause: failure.cause });
}

/** The exit of a process, as the system reported it. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** True if no exit status was reported. */
  readonly unseen?: boolean;
  stderrTail(): string;
  /** Returns the reason why the system refused the program after all; called when stderr has been read. */
  refusal?(): SupervisorError | undefined;
}

/** Completes the exit of a process: ends the rest of its tree, then reports. */
export async function finish(s: Supervision, p: ManagedProcess, exit: Exit): Promise<void> {
  const { code, signal, unseen } = exit;
  const { registry } = p;
  // Before any code of the host runs: from now on the pid may be given to another process.
  p.tree.letGo();
  if (p.isDisowned) {
    p.handle.exit(code, signal);
    return;
  }
  p.disarm();
  // Before anything is recorded.
  registry.catchUp();
  // Taken in every case: a request that comes too late must not stay in the folder.
  const ordered = registry.ordered(p.id);
  p.cause ??= wasTakenOver(p) ? 'duplicate' : ordered;
  const context = { requested: p.cause, unseen };
  // Read for no other exit: each read costs one file.
  const oomKilled = mayBeOomKill(code, signal, context) && p.oomWatch?.claim() === true;
  const verdict = classifyExit(code, signal, { ...context, oomKilled });
  // A running termination finds the members itself, and leaves no leftovers.
  const wasEnding = p.ending || p.isTreeGone === true;
  // Before the exit is reported: a caller who ends the process from then on must not end kept leftovers.
  p.kept = !wasEnding && keepsAll(s, p);
  p.exit(code, signal);
  const streamsQuiet = p.child && quietStreams(p.child, s.os.clock);
  const leftovers = wasEnding ? [] : await endLeftovers(s, p);
  if (p.ending) await p.untilGone();
  await streamsQuiet;

  const error = exit.refusal?.();
  const cleanup = error ? undefined : await cleanUp(s, p);
  registry.remove(p.record);
  s.live.delete(p.id);
  p.release();
  const report: ExitReport = {
    ...p.subject,
    pid: p.record.pid,
    code,
    signal,
    ...verdict,
    cause: error === undefined ? verdict.cause : 'not-started',
    ...(oomKilled && { oomKilled }),
    forced: p.forced,
    durationMs: s.os.clock.monotonicMs() - p.startedAtMs,
    pausedMs: p.gaps.pausedMs,
    stderrTail: exit.stderrTail(),
    leftovers,
    ...(cleanup && { cleanup }),
    ...(error && { error }),
  };
  p.gaps.stop();
  p.settle(report);
  s.emit('exited', report);
}

/** Tells whether another host ended this agent to run its conversation itself. */
function wasTakenOver({ id, leases, registry }: ManagedProcess): boolean {
  return leases.some(({ key }) => registry.conversationLocks.wasTakenOver(key, id));
}

/** Refuses a request: no process is started for it. */
export function refuse(s: Supervision, p: ManagedProcess, error: SupervisorError): void {
  p.release();
  p.refuse(error);
  s.emit('refused', { ...p.subject, error });
}
