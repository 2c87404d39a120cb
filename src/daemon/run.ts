import { resolve } from 'node:path';
import * as z from 'zod/mini';
import { definedOnly, made, parseInput, systemText } from '../check.ts';
import { type EndReport, type HostSignal, type Supervisor, SupervisorError } from '../index.ts';
import type { Os } from '../os/os.ts';
import { within } from '../os/wait.ts';
import { contentOf } from '../store/pid-file.ts';
import { type PidFile, pidFileFields } from '../store/pid-record.ts';
import { timeLeftMs } from '../store/time-left.ts';
import { hostSignalOptions } from '../supervisor/internals.ts';
import { type LaunchNote, readLaunchNote } from './launch-note.ts';
import { isOwnOutput } from './log-file.ts';
import type { PidFileFields } from './options.ts';
import { claimPidFile, removeOwn, replaceFields } from './own-pid-file.ts';
import { rotateLog } from './rotate-log.ts';
import { checkFields, daemonName } from './schema.ts';

/**
 * Options of `runAsDaemon`. Missing ones are those of the `ensureDaemon` call that has started this
 * process, if any.
 */
export interface RunAsDaemonOptions {
  /** The file by which the daemon is found. Required if the process was started by hand. */
  pidFile?: string | undefined;
  name?: string | undefined;
  /** Version of the daemon. */
  version?: string | undefined;
  /** The socket that the daemon listens on. It is removed with a stale pid file. */
  socket?: string | undefined;
  /** Fields of the daemon's own for its pid file, such as its port. */
  fields?: PidFileFields | undefined;
  /** As in `stop`. */
  finishMs?: number | undefined;
  /** As in `stop`. */
  deadlineMs?: number | undefined;
  /** The daemon's own cleanup on a signal, run while the supervisor stops. It may throw or hang. */
  hook?: ((signal: HostSignal) => unknown) | undefined;
}

/** The handle of a process that is a daemon. */
export interface Daemon {
  readonly pidFile: string;
  /**
   * Replaces the daemon's own fields in its pid file, as when its port is known.
   *
   * Returns `false` if the file is not its own any more.
   *
   * @throws SupervisorError `INVALID_OPTIONS`
   */
  setFields(fields: PidFileFields): boolean;
  /** Stops the supervisor, removes the pid file, and removes the signal handlers. */
  stop(): Promise<EndReport>;
}

/** Interval at which the daemon looks at the size of its log file. */
const LOG_WATCH_MS = 60_000;
/** Longest time that the daemon's own hook may take. */
const HOOK_MS = 5000;
/** Longer than any shutdown, because this module itself limits the time of the hook. */
const NO_TIMEOUT_MS = 2 ** 31 - 1;

const supervisorOnly = z.custom<Supervisor>(
  (value) => typeof (value as Supervisor)?.handleSignals === 'function',
  {
    error: 'must be a supervisor',
  },
);
const runOptions = z.prefault(
  z.extend(z.pick(made(hostSignalOptions), { finishMs: true, deadlineMs: true, hook: true }), {
    pidFile: z.optional(systemText().check(z.minLength(1))),
    name: z.optional(daemonName()),
    version: z.optional(daemonName()),
    socket: z.optional(systemText().check(z.minLength(1), z.maxLength(4096))),
    fields: z.optional(pidFileFields()),
  }),
  {},
);

/**
 * Makes this process the daemon: writes its pid file and ignores SIGHUP. On SIGTERM or SIGINT it stops the
 * supervisor, removes the pid file and lets the signal end this process.
 *
 * @throws SupervisorError `ALREADY_RUNNING` if another daemon lives, `STATE_DIR_UNSAFE` if the pid file
 * cannot be written, or `INVALID_OPTIONS`, by rejection
 */
export async function runAsDaemon(
  supervisor: Supervisor,
  options?: RunAsDaemonOptions,
): Promise<Daemon> {
  parseInput(supervisorOnly, supervisor, 'runAsDaemon', 'supervisor');
  const checked = parseInput(runOptions, options, 'runAsDaemon');
  const { os } = supervisor.internals;
  const note = readLaunchNote(os);
  const { pidFile, name, version, socket } = { ...note, ...definedOnly(checked) };
  if (pidFile === undefined) throw noPidFile();
  // A daemon survives the end of its terminal. Ignore SIGHUP before the pid file shows this process to
  // others.
  os.onSignal('SIGHUP', () => undefined);
  const path = resolve(pidFile);
  const file = await claimPidFile(path, { name, version, socket, fields: checked.fields }, os);
  return new RunningDaemon(supervisor, os, path, file, { ...checked, log: note?.log });
}

type RunOptions = z.output<typeof runOptions> & Pick<LaunchNote, 'log'>;

class RunningDaemon implements Daemon {
  readonly pidFile: string;
  readonly #supervisor: Supervisor;
  readonly #os: Os;
  readonly #file: PidFile;
  readonly #options: RunOptions;
  readonly #uninstall: (() => void)[];
  readonly #stopped = Promise.withResolvers<void>();
  #cancelWatch: () => void = () => undefined;
  #isEnding = false;
  #pendingHook = false;

  constructor(supervisor: Supervisor, os: Os, path: string, file: PidFile, options: RunOptions) {
    this.#supervisor = supervisor;
    this.#os = os;
    this.pidFile = path;
    this.#file = file;
    this.#options = options;
    const { finishMs, deadlineMs } = options;
    this.#watchLog();
    this.#uninstall = [
      supervisor.on('stopped', () => {
        this.#stopped.resolve();
        this.#leave();
      }),
      supervisor.handleSignals({
        ...{ finishMs, deadlineMs, hookTimeoutMs: NO_TIMEOUT_MS },
        signals: ['SIGTERM', 'SIGINT'],
        hook: (signal) => this.#hook(signal),
      }),
    ];
  }

  setFields(fields: PidFileFields): boolean {
    return replaceFields(this.pidFile, this.#file, checkFields(fields), this.#os);
  }

  /** Begins the log file anew when it is too large, but not while a launcher may read in it. */
  #watchLog(): void {
    const { log } = this.#options;
    if (log === undefined || !isOwnOutput(log.path)) return;
    this.#cancelWatch = this.#os.clock.after(LOG_WATCH_MS, () => {
      const boot = contentOf(this.pidFile, this.#os)?.boot;
      const isBooting =
        boot !== undefined && timeLeftMs({ ...boot, bootId: 'this' }, 'this', this.#os.clock) > 0;
      if (!isBooting) void rotateLog(log.path, log.maxBytes, this.#os);
      this.#watchLog();
    });
  }

  async stop(): Promise<EndReport> {
    const { finishMs, deadlineMs } = this.#options;
    this.#isEnding = true;
    const report = await this.#supervisor.stop({ finishMs, deadlineMs });
    this.#leave();
    for (const uninstall of this.#uninstall) uninstall();
    this.#cancelWatch();
    return report;
  }

  async #hook(signal: HostSignal): Promise<void> {
    this.#isEnding = true;
    this.#pendingHook = this.#options.hook !== undefined;
    if (this.#options.hook === undefined) return;
    // The pid file stays until the hook is done, so that no successor starts before.
    try {
      await within(
        HOOK_MS,
        Promise.resolve(signal).then(this.#options.hook),
        this.#os.clock.running,
      );
    } finally {
      this.#pendingHook = false;
    }
    await this.#stopped.promise;
    this.#leave();
  }

  /** Removes the pid file when all else is done, as the last step before the exit. */
  #leave(): void {
    if (!this.#isEnding || this.#pendingHook) return;
    removeOwn(this.pidFile, this.#file, this.#os);
  }
}

function noPidFile(): SupervisorError {
  return new SupervisorError(
    'INVALID_OPTIONS',
    'runAsDaemon: "pidFile" is missing, and no ensureDaemon has started this process. Pass the path of its pid file.',
    { data: { field: 'pidFile' } },
  );
}
