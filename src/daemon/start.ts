import { closeSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { heartbeatIn } from '../containment/file-heartbeats.ts';
import type { HeldLock } from '../containment/held-lock.ts';
import { ownIdentity } from '../containment/recorded-process.ts';
import { SupervisorError } from '../index.ts';
import { COOKIE_VARIABLE, type Os } from '../os/os.ts';
import { neededBy, sanitize } from '../process/environment.ts';
import type { DaemonLog } from '../ready/log.ts';
import { socketPath } from '../ready/readiness.ts';
import { createExclusive } from '../store/exclusive.ts';
import { newHeartbeatId } from '../store/heartbeat-file.ts';
import { logPath } from '../store/layout.ts';
import { contentOf, pidFileText } from '../store/pid-file.ts';
import { PID_FILE_VERSION, type PidFile } from '../store/pid-record.ts';
import { type CookieSegment, cookieSegment, DAEMON_ID, extendCookie } from '../tree/cookie.ts';
import { Tagging } from '../tree/tagging.ts';
import type { ProcessTree } from '../tree/tracked-tree.ts';
import { endDaemonTree, treeOfDaemon } from './handover.ts';
import { DAEMON_VARIABLE, type LaunchNote } from './launch-note.ts';
import { openLog } from './log-file.ts';
import type { CheckedOptions } from './schema.ts';

/** A daemon that has just been started. */
export interface StartedDaemon {
  readonly file: PidFile;
  readonly tree: ProcessTree;
  readonly log: DaemonLog | undefined;
  /** The daemon's environment, whose secrets no error may show. */
  readonly env: Readonly<Record<string, string>>;
  /** Describes the exit of the launched process; `undefined` while it runs. */
  ended(): string | undefined;
}

/**
 * Returns the cookie segment of a daemon that is started under a lock. By it, the daemon of a dead launcher
 * is found even without a pid file.
 */
function markOf(nonce: string): CookieSegment {
  return { owner: nonce, id: DAEMON_ID, kept: true };
}

/** Ends daemons whose launcher died between the start and the pid file. Nothing else could find them. */
export async function endUnwritten({ inherited }: HeldLock, os: Os): Promise<void> {
  for (const nonce of inherited) {
    const cookie = cookieSegment(markOf(nonce));
    await endDaemonTree(treeOfDaemon(os, { pid: 0, startTime: undefined, cookie }), os);
  }
}

/**
 * Starts a daemon and writes its pid file in the same tick. A launcher that crashes thus leaves evidence.
 * `written` is false if another process has written the pid file first; the caller must then end the
 * daemon.
 *
 * @throws SupervisorError as `spawn` does, or LaunchedInVain
 */
export async function launchDaemon(
  options: CheckedOptions,
  { pidFile, nonce, os }: { pidFile: string; nonce: string; os: Os },
): Promise<{ readonly started: StartedDaemon; readonly written: boolean }> {
  const mark = markOf(nonce);
  const cookie = cookieSegment(mark);
  const env = environmentOf(options, pidFile, mark, os);
  // Awaited before the start, since each may need a child process, and afterwards every moment counts.
  const tagging = new Tagging(os.rlimits, nonce);
  const [self] = await Promise.all([ownIdentity(os), tagging.ready, os.prepareLaunch?.()]);
  // No process outlives the first one of its PID namespace. If this is the first, the end of its heartbeat
  // proves the daemon dead.
  const heartbeat = self.pid === 1 ? witnessIn(dirname(pidFile), os) : undefined;
  const opened = await openLog({ ...options, pidFile }, os);
  const { child, failure } = os.launch({
    command: options.command,
    args: options.args ?? [],
    cwd: options.cwd ?? dirname(pidFile),
    env,
    outlivesHost: true,
    stdout: opened?.fd,
    stderr: opened?.fd,
    rlimits: tagging.launch(0, true).rlimits,
  });
  if (opened !== undefined) closeSync(opened.fd);
  if (child?.pid === undefined) {
    const { code, message, cause } = await (failure as NonNullable<typeof failure>);
    throw new SupervisorError(code, `The daemon "${options.name}": ${message}`, { cause });
  }
  const { pid } = child;
  const startTime = os.processes.read?.(pid)?.startTime;
  const { machine, bootId, pidNamespace } = self;
  const content = {
    ...{ machine, pid, startTime, bootId, pidNamespace, heartbeat },
    name: options.name,
    daemonVersion: options.version,
    socket: socketOf(options),
    cookie,
    starting: opened?.log.from ?? 0,
    boot: { at: os.clock.now(), sinceBootMs: os.clock.sinceBootMs(), forMs: options.bootMs },
  };
  let end: string | undefined;
  const tree = treeOfDaemon(os, { pid, startTime, cookie }, true);
  child.once('exit', (code, signal) => {
    end = signal === null ? `exit code ${code}` : `signal ${signal}`;
    tree.letGo();
  });
  const started: StartedDaemon = {
    file: { version: PID_FILE_VERSION, ...content },
    tree,
    log: opened?.log,
    env,
    ended: () => end,
  };
  try {
    const written =
      createExclusive(pidFile, pidFileText(content), nonce) ||
      // On a busy machine the daemon itself may have been faster, and has written the same cookie.
      contentOf(pidFile, os)?.cookie === cookie;
    return { started, written };
  } catch (cause) {
    throw new LaunchedInVain(started, cause);
  }
}

const witnesses = new Map<string, string>();

/** Starts the heartbeat that this process shows in a folder until its exit; returns its id. */
function witnessIn(folder: string, os: Os): string | undefined {
  const known = witnesses.get(folder);
  if (known !== undefined) return known;
  const id = newHeartbeatId();
  const heartbeat = heartbeatIn(folder, id, os);
  if (heartbeat === undefined) return undefined;
  heartbeat.open();
  witnesses.set(folder, id);
  return id;
}

/**
 * Thrown when a daemon was started but its pid file could not be written. No later call could find the
 * daemon.
 */
export class LaunchedInVain extends Error {
  readonly started: StartedDaemon;

  constructor(started: StartedDaemon, cause: unknown) {
    super('its pid file could not be written', { cause });
    this.started = started;
  }
}

function environmentOf(
  options: CheckedOptions,
  pidFile: string,
  mark: CookieSegment,
  os: Os,
): Record<string, string> {
  const hostEnv = os.environment();
  const ignoreCase = os.platform === 'win32';
  const keep = neededBy(options.command, os);
  const { env } = sanitize(options.env ?? hostEnv, { hostEnv, ignoreCase, keep });
  const { name, version, logFile = logPath(pidFile), logMaxBytes } = options;
  const cookie = cookieSegment(mark);
  const note: LaunchNote = {
    ...{ cookie, pidFile, name, version },
    socket: socketOf(options),
    ...(logFile === null || logMaxBytes === null
      ? {}
      : { log: { path: resolve(logFile), maxBytes: logMaxBytes } }),
  };
  env[DAEMON_VARIABLE] = JSON.stringify(note);
  env[COOKIE_VARIABLE] = extendCookie(hostEnv[COOKIE_VARIABLE], mark);
  return env;
}

function socketOf({ ready }: CheckedOptions): string | undefined {
  return 'socket' in ready ? socketPath(ready.socket) : undefined;
}
