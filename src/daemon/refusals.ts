import { SupervisorError, type SupervisorErrorCode } from '../index.ts';
import type { Listener, ProcessEntry } from '../os/os.ts';
import type { ReadyOutcome } from '../ready/await-ready.ts';
import { nameListeners } from '../ready/readiness.ts';
import type { Ready } from '../ready/ready.ts';
import { logPath } from '../store/layout.ts';
import type { PidFile } from '../store/pid-record.ts';
import type { LaunchPause } from './failed-launches.ts';
import type { CheckedOptions } from './schema.ts';

/** The errors of whoever ends a daemon, each with a way out. */
export class EndRefusals {
  protected readonly daemon: string;
  readonly #name: string;
  readonly #pidFile: string;

  constructor(name: string, pidFile: string) {
    this.#name = name;
    this.daemon = `The daemon "${name}"`;
    this.#pidFile = pidFile;
  }

  unjudged({ pid }: PidFile, doubt: string): SupervisorError {
    return this.error(
      'ALREADY_RUNNING',
      `${this.daemon} may run as pid ${pid}, but ${doubt}. Remove ${this.#pidFile} if it is gone.`,
      { pid },
    );
  }

  /** The daemon has started this process. */
  inside({ pid, daemonVersion }: PidFile): SupervisorError {
    return this.error(
      'ALREADY_RUNNING',
      `${this.daemon} runs as pid ${pid} in version ${daemonVersion ?? 'unknown'}, and this process belongs to it: to end it would end the caller. Call from outside of it.`,
      { pid, version: daemonVersion },
    );
  }

  survived({ pid, daemonVersion }: PidFile, survivors: readonly ProcessEntry[]): SupervisorError {
    const who = survivors.map((each) => `pid ${each.pid} (${each.command})`).join(', ');
    return this.error(
      'ALREADY_RUNNING',
      `${this.daemon} in version ${daemonVersion ?? 'unknown'} (pid ${pid}) did not end: ${who} survived SIGKILL. No other was started; end them by hand.`,
      { pid, survivors: survivors.map((each) => ({ pid: each.pid, command: each.command })) },
    );
  }

  protected error(
    code: SupervisorErrorCode,
    message: string,
    data: Readonly<Record<string, unknown>>,
    cause?: unknown,
  ): SupervisorError {
    return new SupervisorError(code, message, {
      cause,
      data: { name: this.#name, pidFile: this.#pidFile, ...data },
    });
  }
}

/** The errors of `ensureDaemon`, each with a way out. */
export class Refusals extends EndRefusals {
  readonly #pidFile: string;
  readonly #options: CheckedOptions;

  constructor(options: CheckedOptions, pidFile: string) {
    super(options.name, pidFile);
    this.#pidFile = pidFile;
    this.#options = options;
  }

  /** It was started in vain too often, or a moment ago. */
  circuitOpen({ failures, forMs }: LaunchPause, path: string): SupervisorError {
    const retryInMs = Math.ceil(forMs);
    const { logFile = logPath(this.#pidFile) } = this.#options;
    const log = logFile === null ? '' : ` Its log ${logFile} may say why.`;
    const starts = failures === 1 ? 'last start' : `last ${failures} starts`;
    return this.error(
      'CIRCUIT_OPEN',
      `${this.daemon} was not started: its ${starts} failed. The next start is possible in ${retryInMs} ms.${log} To try at once, remove ${path}.`,
      { retryInMs, failures },
    );
  }

  unusable(reason: string): SupervisorError {
    const advice = 'Remove what is there, or choose another path.';
    return this.error(
      'INVALID_OPTIONS',
      `ensureDaemon: "pidFile" is ${this.#pidFile}, but ${reason}. ${advice}`,
      { field: 'pidFile' },
    );
  }

  unwritable(cause: unknown): SupervisorError {
    const reason = cause === undefined ? '' : `: ${(cause as Error).message}`;
    return this.error(
      'STATE_DIR_UNSAFE',
      `${this.daemon} was not started: its pid file ${this.#pidFile} cannot be written${reason}. Choose a path in a folder of your own.`,
      {},
      cause,
    );
  }

  aborted(cause: unknown): SupervisorError {
    const text = `The wait for the daemon "${this.#options.name}" was aborted.`;
    return this.error('ABORTED', text, {}, cause);
  }

  /** Another process holds the daemon's endpoint. */
  stranger(listeners: readonly Listener[] | undefined, pid?: number): SupervisorError {
    const what = pid === undefined ? 'was not started' : `(pid ${pid}) is not ready`;
    return this.error(
      'ALREADY_RUNNING',
      `${this.daemon} ${what}: ${readinessOf(this.#options.ready)} is held by ${nameListeners(listeners)}, which is not it. End that, or choose another one.`,
      { ...(pid === undefined ? {} : { pid }), holders: listeners ?? [] },
    );
  }

  otherVersion(version: string | undefined): SupervisorError {
    return this.error(
      'SPAWN_FAILED',
      `${this.daemon} was started as version ${this.#options.version} and says that it is version ${version ?? 'unknown'}; it was ended. Let both say the same, or leave "version" out in runAsDaemon.`,
      { version },
    );
  }

  /** The daemon is still starting, within its boot time. */
  warming(pid: number, cause?: unknown): SupervisorError {
    const { timeoutMs, ready } = this.#options;
    return this.error(
      'READY_TIMEOUT',
      `${this.daemon} (pid ${pid}) was not ready within ${timeoutMs} ms: ${readinessOf(ready)}.${whyNot(cause)} It is still starting, and was left to it: call again, or wait longer ("timeoutMs").`,
      { pid, state: 'warming' },
      cause,
    );
  }

  /** The daemon did not become ready. `mine` is given if this call has started it, and ended it again. */
  notReady(outcome: ReadyOutcome, pid: number, mine: Mine | undefined): SupervisorError {
    const { cause } = outcome;
    const tail = mine?.tail ? ` It wrote:\n${mine.tail}` : '';
    const data = { pid, ...(mine && { tail: mine.tail }) };
    if (outcome.is === 'dead') {
      const how = mine === undefined ? '' : ` with ${mine.end}`;
      const text = `${this.daemon} (pid ${pid}) ended${how} before it was ready.${tail}`;
      return this.error('SPAWN_FAILED', text, data, cause);
    }
    const { timeoutMs, bootMs, ready } = this.#options;
    const limitMs = mine === undefined ? timeoutMs : bootMs;
    const fate = mine === undefined ? 'It was there before, and was left alone.' : 'It was ended.';
    const why = whyNot(cause);
    return this.error(
      'READY_TIMEOUT',
      `${this.daemon} (pid ${pid}) was not ready within ${limitMs} ms: ${readinessOf(ready)}.${why} ${fate}${tail}`,
      data,
      cause,
    );
  }
}

/** Facts about a daemon that this call has started. */
export interface Mine {
  /** `exit code 1`, `signal SIGSEGV`. */
  readonly end: string;
  readonly tail: string;
}

function whyNot(cause: unknown): string {
  return cause === undefined ? '' : ` The check failed with: ${String(cause)}.`;
}

function readinessOf(ready: Ready): string {
  if ('port' in ready) return `port ${ready.port}`;
  if ('socket' in ready) return `socket ${ready.socket}`;
  if ('url' in ready) return ready.url;
  return 'check' in ready ? 'its check' : `its log file has to match ${ready.stdout}`;
}
