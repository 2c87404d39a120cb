import { dirname, resolve } from 'node:path';
import { type HeldLock, holdLock } from '../containment/held-lock.ts';
import { judgeRecorded, ownIdentity } from '../containment/recorded-process.ts';
import { isSupervisorError, SupervisorError } from '../index.ts';
import { sleep } from '../os/clock.ts';
import type { Os } from '../os/os.ts';
import { canConnect } from '../os/probe.ts';
import { whyTooOld } from '../os/runtime.ts';
import { systemOs } from '../os/system.ts';
import { awaitReady, type ReadyOutcome } from '../ready/await-ready.ts';
import { endpointOf, PROBE_MS } from '../ready/readiness.ts';
import { makeFolder } from '../store/files.ts';
import { logPath, spawnLockPath } from '../store/layout.ts';
import { contentOf, holds } from '../store/pid-file.ts';
import type { PidFile } from '../store/pid-record.ts';
import { timeLeftMs } from '../store/time-left.ts';
import { FailedLaunches } from './failed-launches.ts';
import { findReadyDaemon, reportOf } from './find.ts';
import { endDaemon, endDaemonTree, isInside, removeRemainsOf, treeOfDaemon } from './handover.ts';
import { inspectPidFile } from './inspect.ts';
import { tailOf } from './log-file.ts';
import type { DaemonOptions, DaemonReport } from './options.ts';
import { removeHalfWritten, removeIfUnchanged } from './own-pid-file.ts';
import { findPredecessor } from './predecessor.ts';
import { Refusals } from './refusals.ts';
import { type CheckedOptions, checkDaemonOptions } from './schema.ts';
import { settlePidFile } from './settle.ts';
import { endUnwritten, LaunchedInVain, launchDaemon, type StartedDaemon } from './start.ts';

/** Longest time that a daemon may take to exit once it has removed its pid file. */
const FAREWELL_MS = 500;
/** Interval at which a launcher in a backoff looks whether it was aborted. */
const BACKOFF_POLL_MS = 100;
/** Poll interval for a daemon that only its heartbeat can prove alive. */
const SILENT_POLL_MS = 500;

/** A daemon that dies so soon after it was ready counts as a failed launch. */
const SETTLED_MS = 60_000;

/** Ends the daemon if it runs, and starts it. */
export async function restartDaemon(input: DaemonOptions): Promise<DaemonReport> {
  return ensureUnderLock(input, true);
}

/**
 * The slow path of `ensureDaemon`: takes the spawn lock, and handles every state of the pid file.
 * `restarts`: a daemon that runs is ended first.
 */
export async function ensureUnderLock(
  input: DaemonOptions,
  restarts = false,
): Promise<DaemonReport> {
  const reason = whyTooOld();
  if (reason !== undefined) throw new SupervisorError('UNSUPPORTED_RUNTIME', reason);
  const options = checkDaemonOptions(input, restarts ? 'restartDaemon' : 'ensureDaemon');
  const os = systemOs();
  const pidFile = resolve(options.pidFile);
  const refusals = new Refusals(options, pidFile);
  const { timeoutMs, signal } = options;
  const untilMs = os.clock.running.monotonicMs() + timeoutMs;
  if (signal?.aborted) throw refusals.aborted(signal.reason);
  try {
    makeFolder(dirname(pidFile));
  } catch (error) {
    throw refusals.unwritable(error);
  }
  const meanwhile: { report?: DaemonReport | undefined } = {};
  const isMoot = async (): Promise<boolean> => {
    if (restarts) return false;
    meanwhile.report = await findReadyDaemon(input);
    return meanwhile.report !== undefined;
  };
  const patience = { timeoutMs, signal, isMoot };
  const lock = await holdLock(spawnLockPath(pidFile), patience, os).catch(async (error) => {
    if (!isSupervisorError(error, 'READY_TIMEOUT')) throw error;
    if (await isMoot()) return undefined;
    const file = contentOf(pidFile, os);
    const isWarming = file?.boot !== undefined && (await judgeRecorded(file, os)) === 'alive';
    throw isWarming ? refusals.warming(file.pid) : error;
  });
  if (lock === undefined) return meanwhile.report as DaemonReport;
  try {
    const failed = new FailedLaunches(pidFile, options.name, os);
    const ensuring = new Ensuring({ os, options, pidFile, refusals, untilMs, lock, failed });
    return await ensuring.run(restarts);
  } finally {
    lock.release();
  }
}

interface EnsuringParts {
  readonly os: Os;
  readonly options: CheckedOptions;
  readonly pidFile: string;
  readonly refusals: Refusals;
  /** On `os.clock.running`, which does not count time in which the host was stopped or suspended. */
  readonly untilMs: number;
  readonly lock: HeldLock;
  readonly failed: FailedLaunches;
}

/** One call of `ensureDaemon` under its lock, until a daemon is ready or the call is refused. */
class Ensuring {
  readonly #parts: EnsuringParts;

  constructor(parts: EnsuringParts) {
    this.#parts = parts;
  }

  async run(restarts: boolean): Promise<DaemonReport> {
    const { os, options, pidFile, refusals } = this.#parts;
    const askedAtMs = os.clock.monotonicMs();
    await this.#endPredecessor();
    let wasEnded = !restarts;
    for (let wasInvalid = false; ; ) {
      const view = await inspectPidFile(pidFile, os);
      if (view.state === 'missing') {
        const report = await this.#start();
        if (report !== undefined) return report;
      } else if (view.state === 'invalid') {
        // The first inspection has moved a corrupt file aside.
        if (wasInvalid) throw refusals.unusable(view.reason);
        wasInvalid = true;
      } else if (view.state === 'stale') {
        await this.#endRemains(view.file);
      } else {
        if (view.doubt !== undefined) {
          if (!this.#isSilent(view, askedAtMs)) throw refusals.unjudged(view.file, view.doubt);
          await sleep(SILENT_POLL_MS, os.clock.running);
          continue;
        }
        const isRight =
          wasEnded &&
          (options.version === undefined || options.version === view.file.daemonVersion);
        wasEnded = true;
        const report = isRight ? await this.#await(view.file) : await this.#handOver(view.file);
        if (report !== undefined) return report;
      }
    }
  }

  /**
   * Tells if a daemon on another machine has yet to prove that it lives. It does so in time, or is given
   * up.
   */
  #isSilent(
    { aliveAtMs }: { readonly aliveAtMs?: number | undefined },
    askedAtMs: number,
  ): boolean {
    const { os, options, untilMs, refusals } = this.#parts;
    if (options.signal?.aborted) throw refusals.aborted(options.signal.reason);
    const isSilent = aliveAtMs !== undefined && aliveAtMs < askedAtMs;
    return isSilent && os.clock.monotonicMs() < untilMs;
  }

  /** Waits for a daemon that another launcher has started; `undefined` if it exits meanwhile. */
  async #await(file: PidFile): Promise<DaemonReport | undefined> {
    const { os, options, pidFile, refusals, untilMs, lock, failed } = this.#parts;
    const tree = treeOfDaemon(os, file);
    const { logFile = logPath(pidFile) } = options;
    const log = logFile === null ? undefined : { path: logFile, from: file.starting ?? 0 };
    // A daemon that was ready before has written its line already, and need not write it again.
    const wasReady = 'stdout' in options.ready && file.starting === undefined;
    const bootUntilMs = await this.#bootUntilMs(file);
    const outcome: ReadyOutcome = wasReady
      ? { is: 'ready' }
      : await awaitReady({
          ...{ os, tree, log, ready: options.ready, signal: options.signal },
          untilMs: Math.min(untilMs, bootUntilMs),
          pid: () => file.pid,
          isAlive: async () => (await judgeRecorded(file, os)) !== 'dead',
        });
    if (outcome.is === 'dead') return undefined;
    if (outcome.is === 'aborted') throw refusals.aborted(outcome.cause);
    if (outcome.is === 'ready') {
      const report = await this.#settle(file, outcome, false);
      if (report !== undefined) failed.forget();
      return report;
    }
    if (bootUntilMs <= untilMs && lock.held && !(await isInside(file, os)))
      return this.#endFailed(file);
    if (outcome.isStrangers) throw refusals.stranger(await this.#listeners(), file.pid);
    if (bootUntilMs > untilMs && file.boot !== undefined)
      throw refusals.warming(file.pid, outcome.cause);
    throw refusals.notReady(outcome, file.pid, undefined);
  }

  /** The end of a daemon's boot in running time; `Infinity` for one that was ready. */
  async #bootUntilMs({ boot, bootId }: PidFile): Promise<number> {
    const { os } = this.#parts;
    if (boot === undefined) return Number.POSITIVE_INFINITY;
    const self = await ownIdentity(os);
    return os.clock.running.monotonicMs() + timeLeftMs({ ...boot, bootId }, self.bootId, os.clock);
  }

  /** Ends a daemon that was not ready when its boot was over. */
  async #endFailed(file: PidFile): Promise<undefined> {
    const { os, refusals, failed } = this.#parts;
    failed.count();
    const survivors = await endDaemonTree(treeOfDaemon(os, file), os);
    if (survivors.length > 0) throw refusals.survived(file, survivors);
    this.#removeFileOf(file);
    return undefined;
  }

  /** Ends the worker that the daemon replaces. A live daemon in our pid file has replaced it already. */
  async #endPredecessor(): Promise<void> {
    const { os, options, pidFile, refusals } = this.#parts;
    if (options.predecessor === undefined) return;
    const current = contentOf(pidFile, os);
    if (current !== undefined && (await judgeRecorded(current, os)) === 'alive') return;
    const found = await findPredecessor(options.predecessor, os);
    if (found === undefined) return;
    if (await isInside(found, os)) throw refusals.inside(found);
    const survivors = await endDaemon(found, os);
    if (survivors.length > 0) throw refusals.survived(found, survivors);
  }

  /** Ends a daemon of another version, with its whole process tree. */
  async #handOver(file: PidFile): Promise<undefined> {
    const { os, pidFile, refusals } = this.#parts;
    if (await isInside(file, os)) throw refusals.inside(file);
    const survivors = await endDaemon(file, os);
    if (survivors.length > 0) throw refusals.survived(file, survivors);
    removeIfUnchanged(pidFile, file, os);
    return undefined;
  }

  /** Ends the processes that a dead daemon has left, so that its successor finds its endpoint free. */
  async #endRemains(file: PidFile): Promise<void> {
    const { os, pidFile, refusals, failed } = this.#parts;
    // Its launcher did not live to count it.
    if (file.boot !== undefined) failed.count();
    else if (await this.#diedAtOnce(file)) failed.count(file.ready?.failures);
    const survivors = await removeRemainsOf(pidFile, file, os);
    if (survivors.length > 0) throw refusals.survived(file, survivors);
    // In a read-only folder the pid file stays, and would be found again and again.
    if (!removeIfUnchanged(pidFile, file, os) && holds(pidFile, file, os))
      throw refusals.unwritable(undefined);
  }

  /** Tells if a dead daemon was ready so lately that it works no better than one that never was. */
  async #diedAtOnce({ ready, bootId }: PidFile): Promise<boolean> {
    const { os } = this.#parts;
    const self = await ownIdentity(os);
    // A reboot ends every daemon.
    if (ready === undefined || bootId !== self.bootId) return false;
    return timeLeftMs({ ...ready, bootId, forMs: SETTLED_MS }, self.bootId, os.clock) > 0;
  }

  /** Starts a daemon; `undefined` if another process has written the pid file meanwhile. */
  async #start(): Promise<DaemonReport | undefined> {
    const { os, options, pidFile, lock, refusals, failed } = this.#parts;
    if (!lock.held) throw refusals.unwritable(undefined);
    await endUnwritten(lock, os);
    await this.#waitForTurn();
    await this.#assertFree();
    const started = await launchDaemon(options, { pidFile, nonce: lock.nonce, os }).catch(
      async (error) => {
        if (!(error instanceof LaunchedInVain)) throw error;
        await endDaemonTree(error.started.tree, os);
        throw refusals.unwritable(error.cause);
      },
    );
    if (!started.written) {
      await this.#takeBack(started.started);
      return undefined;
    }
    try {
      return await this.#awaitStarted(started.started);
    } catch (error) {
      if (isWarming(error)) throw error;
      if (!isSupervisorError(error, 'ABORTED')) failed.count();
      await this.#takeBack(started.started);
      throw error;
    }
  }

  /** Waits out the backoff after failed launches, if it is short enough; refuses while the breaker is open. */
  async #waitForTurn(): Promise<void> {
    const { os, options, refusals, untilMs, failed } = this.#parts;
    const { running } = os.clock;
    for (let pause = failed.pause; pause.forMs > 0; pause = failed.pause) {
      if (options.signal?.aborted) throw refusals.aborted(options.signal.reason);
      if (pause.isOpen || running.monotonicMs() + pause.forMs > untilMs)
        throw refusals.circuitOpen(pause, failed.path);
      await sleep(Math.min(pause.forMs, BACKOFF_POLL_MS), running);
    }
  }

  async #awaitStarted({ file, tree, log, env, ended }: StartedDaemon): Promise<DaemonReport> {
    const { os, options, refusals, untilMs, failed } = this.#parts;
    const { ready, signal, version } = options;
    const bootUntilMs = await this.#bootUntilMs(file);
    const outcome = await awaitReady({
      ...{ os, ready, tree, log, signal },
      untilMs: Math.min(untilMs, bootUntilMs),
      pid: () => file.pid,
      isAlive: async () => ended() === undefined || (await tree.liveMembers()).length > 0,
    });
    if (outcome.is === 'aborted') throw refusals.aborted(outcome.cause);
    if (outcome.is === 'ready') {
      const report = await this.#settle(file, outcome, true);
      if (report === undefined) throw await this.#failed({ is: 'dead' }, { file, log, env, ended });
      if (version !== undefined && report.version !== version)
        throw refusals.otherVersion(report.version);
      failed.forget();
      return report;
    }
    if (outcome.is === 'late' && !outcome.isStrangers && bootUntilMs > untilMs)
      throw refusals.warming(file.pid, outcome.cause);
    throw await this.#failed(outcome, { file, log, env, ended });
  }

  async #failed(
    outcome: ReadyOutcome,
    { file, log, env, ended }: Omit<StartedDaemon, 'tree'>,
  ): Promise<Error> {
    const { refusals } = this.#parts;
    if (outcome.is !== 'dead' && outcome.isStrangers)
      return refusals.stranger(await this.#listeners(), file.pid);
    const mine = { end: ended() ?? 'an unknown end', tail: tailOf(log, env) };
    return refusals.notReady(outcome, file.pid, mine);
  }

  async #settle(
    file: PidFile,
    outcome: ReadyOutcome,
    started: boolean,
  ): Promise<DaemonReport | undefined> {
    const { os, pidFile, failed } = this.#parts;
    const { failures } = failed.pause;
    const settled = await settlePidFile(pidFile, file, { ...outcome, failures }, os);
    return settled && reportOf(settled, started);
  }

  /** Ends the daemon that this call has started, and removes its pid file. */
  async #takeBack({ file, tree }: StartedDaemon): Promise<void> {
    const { os, pidFile, lock } = this.#parts;
    await endDaemonTree(tree, os);
    removeHalfWritten(pidFile, lock.nonce, os);
    this.#removeFileOf(file);
  }

  /** Removes the pid file of a daemon that has ended, whoever wrote it last. */
  #removeFileOf(file: PidFile): void {
    const { os, pidFile } = this.#parts;
    const now = contentOf(pidFile, os);
    if (now !== undefined && now.cookie === file.cookie) removeIfUnchanged(pidFile, now, os);
  }

  /** Refuses to start a daemon whose endpoint another process holds. */
  async #assertFree(): Promise<void> {
    const { os, options, refusals } = this.#parts;
    const endpoint = endpointOf(options.ready);
    if (endpoint === undefined) return;
    const untilMs = os.clock.running.monotonicMs() + FAREWELL_MS;
    while (await canConnect(endpoint, PROBE_MS)) {
      if (os.clock.running.monotonicMs() > untilMs)
        throw refusals.stranger(await this.#listeners());
      await sleep(20, os.clock.running);
    }
  }

  async #listeners() {
    const { os, options } = this.#parts;
    const endpoint = endpointOf(options.ready);
    return endpoint && (await os.listeners?.(endpoint));
  }
}

function isWarming(error: unknown): boolean {
  return isSupervisorError(error, 'READY_TIMEOUT') && error.data['state'] === 'warming';
}
