// A lock file that one live process holds: a dead holder's is taken over, a living one's never.
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { SupervisorError } from '../errors.ts';
import { sleep } from '../os/clock.ts';
import type { Os, SelfIdentity } from '../os/os.ts';
import { createExclusive } from '../store/exclusive.ts';
import { statOwn } from '../store/files.ts';
import { removeHeartbeat } from '../store/heartbeat-file.ts';
import { nonceOfTaken, takenPath } from '../store/layout.ts';
import { PID_FILE_VERSION, parseSpawnLock, type SpawnLockFile } from '../store/pid-record.ts';
import { isOver } from '../tree/identity.ts';
import { heartbeatIn } from './file-heartbeats.ts';
import type { Heartbeat } from './heartbeat.ts';
import { judgeRecorded, ownIdentity } from './recorded-process.ts';

/** A lock that one process of the machine holds. */
export interface HeldLock {
  /** `false` where no lock can be made, in a folder that cannot be written: then nobody is kept out. */
  readonly held: boolean;
  /** Gives the lock back, if it is still ours; safe to call again. */
  release(): void;
  /** Unique; a daemon that is started under the lock carries it in its cookie. */
  readonly nonce: string;
  /** The nonces of dead holders' locks: what was started under them may be nobody's. */
  readonly inherited: readonly string[];
}

/** First poll interval of a waiter. It grows with the wait, because there may be many waiters. */
const POLL_MS = 20;
const MAX_POLL_MS = 100;

const MAX_LOCK_BYTES = 4096;

/** Error codes of a folder in which no file can be created. */
const UNWRITABLE: ReadonlySet<unknown> = new Set(['EROFS', 'EACCES', 'EPERM', 'ENOSPC', 'EDQUOT']);

export interface LockOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Called whenever the holder has changed; `true` ends the wait, because the lock is no longer needed. */
  readonly isMoot?: () => Promise<boolean>;
}

/**
 * Takes a lock like `acquireSpawnLock`, for checked input; `undefined` once `isMoot` has ended the
 * wait.
 */
export async function holdLock(
  path: string,
  { timeoutMs, signal, isMoot }: LockOptions,
  os: Os,
): Promise<HeldLock | undefined> {
  const untilMs = os.clock.running.monotonicMs() + timeoutMs;
  const contender = new Contender(path, await ownIdentity(os), os);
  let last: string | undefined;
  for (let pollMs = POLL_MS; ; pollMs = Math.min(1.2 * pollMs, MAX_POLL_MS)) {
    if (signal?.aborted) throw aborted(path, signal.reason);
    const holder = await contender.compete();
    if (holder === undefined) return contender;
    if (last !== undefined && holder !== last && (await isMoot?.())) return undefined;
    last = holder;
    const leftMs = untilMs - os.clock.running.monotonicMs();
    if (leftMs <= 0) throw tooLong(path, holder, timeoutMs);
    await sleep(Math.min(pollMs, leftMs), os.clock.running);
  }
}

/**
 * A process that wants the lock.
 *
 * Only one process can create the lock file. Every lock has its own nonce, so a removed lock never comes
 * back. A process that wants to remove the lock of a dead holder with nonce X must create `PATH.X.taken`.
 * Again, only one can. If that process has died too, with nonce Y, another one must create `PATH.Y.taken`,
 * and so on. The lock is removed only if its nonce is still X. No process can therefore remove the lock of
 * a living holder, however long it was stopped between two steps.
 */
class Contender implements HeldLock {
  readonly nonce = crypto.randomUUID();
  readonly inherited: string[] = [];
  readonly #path: string;
  readonly #os: Os;
  readonly #self: SelfIdentity;
  #heartbeat: Heartbeat | undefined;
  #held = false;

  constructor(path: string, self: SelfIdentity, os: Os) {
    this.#path = path;
    this.#os = os;
    this.#self = self;
  }

  get #text(): string {
    const { machine, pid, startTime, bootId, pidNamespace } = this.#self;
    const identity = {
      machine,
      pid,
      startTime,
      bootId,
      pidNamespace,
      heartbeat: this.#heartbeatId,
    };
    const content: SpawnLockFile = { version: PID_FILE_VERSION, nonce: this.nonce, ...identity };
    return `${JSON.stringify(content)}\n`;
  }

  /** Derived from the nonce, so that the process which removes our files also finds our heartbeat. */
  get #heartbeatId(): string | undefined {
    return this.#os.heartbeat && this.nonce.replaceAll('-', '').slice(0, 12);
  }

  get held(): boolean {
    return this.#held;
  }

  /** Tries once; returns the name of the holder, or `undefined` when there is nothing to wait for. */
  async compete(): Promise<string | undefined> {
    try {
      for (;;) {
        // Look first: reading the lock costs a waiter less than trying to create it.
        const obstacle = await this.#overcome();
        if (obstacle !== undefined) return obstacle;
        if (!createExclusive(this.#path, this.#text, this.nonce)) continue;
        this.#held = true;
        const id = this.#heartbeatId;
        this.#heartbeat =
          id === undefined ? undefined : heartbeatIn(dirname(this.#path), id, this.#os);
        this.#heartbeat?.open();
        this.inherited.push(...this.#chain());
        return undefined;
      }
    } catch (error) {
      // A process that cannot write here can start no daemon, and needs to keep no other out.
      if (UNWRITABLE.has((error as NodeJS.ErrnoException).code)) return undefined;
      throw unusable(this.#path, error);
    }
  }

  release(): void {
    if (!this.#held) return;
    this.#held = false;
    // Close the heartbeat first: without the lock, no other process could find and remove it.
    this.#heartbeat?.close();
    const lock = read(this.#path, this.#os);
    if (lock !== 'unreadable' && lock?.nonce === this.nonce) this.#removeAll();
  }

  #removeAll(): void {
    // While a living process holds the lock, the `.taken` files of earlier ones have no use. The daemons
    // that were started under those have been ended.
    for (const nonce of this.#chain()) rmSync(this.#takenPath(nonce), { force: true });
    rmSync(this.#path, { force: true });
  }

  /** Removes the lock of a dead holder; returns the name of a living process that is in the way. */
  async #overcome(): Promise<string | undefined> {
    const dead: string[] = [];
    for (let at = this.#path; ; at = this.#takenPath(dead.at(-1) ?? '')) {
      const holder = read(at, this.#os);
      // Another process was faster: the lock is free, or has a new holder.
      if (holder === undefined) return undefined;
      if (holder === 'unreadable')
        return `whoever has made ${at}, which is no spawn lock of this user`;
      const verdict = await judgeRecorded(holder, this.#os, dirname(this.#path));
      const name = `pid ${holder.pid} on ${holder.machine}`;
      if (verdict === 'alive') return name;
      if (!isOver(verdict)) return `${name}, which cannot be judged from here`;
      dead.push(holder.nonce);
      if (!createExclusive(this.#takenPath(holder.nonce), this.#text, this.nonce)) continue;
      removeHeartbeat(dirname(this.#path), holder.heartbeat);
      this.#remove(dead[0] ?? '');
      return undefined;
    }
  }

  /** Called only with the right to remove the lock, so that no other process removes it in between. */
  #remove(nonce: string): void {
    const lock = read(this.#path, this.#os);
    if (lock !== 'unreadable' && lock?.nonce === nonce) rmSync(this.#path, { force: true });
  }

  /** The nonces of all locks that were taken over, and of processes that died while they did so. */
  #chain(): string[] {
    return readdirSync(dirname(this.#path)).flatMap((name) => nonceOfTaken(name, this.#path) ?? []);
  }

  #takenPath(nonce: string): string {
    return takenPath(this.#path, nonce);
  }
}

function read(path: string, os: Os): SpawnLockFile | 'unreadable' | undefined {
  try {
    const stat = statOwn(path, os);
    if (!stat.isFile() || stat.size > MAX_LOCK_BYTES) return 'unreadable';
    return parseSpawnLock(JSON.parse(readFileSync(path, 'utf8'))) ?? 'unreadable';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? undefined : 'unreadable';
  }
}

function unusable(path: string, cause: unknown): SupervisorError {
  return new SupervisorError(
    'STATE_DIR_UNSAFE',
    `The spawn lock ${path} could not be made: ${(cause as Error).message}. Choose a path in a folder that exists.`,
    { cause, data: { path } },
  );
}

function aborted(path: string, cause: unknown): SupervisorError {
  return new SupervisorError('ABORTED', `The wait for the spawn lock ${path} was aborted.`, {
    cause,
    data: { path },
  });
}

function tooLong(path: string, holder: string, timeoutMs: number): SupervisorError {
  const advice = 'If no launcher is at work there, remove it.';
  return new SupervisorError(
    'READY_TIMEOUT',
    `The spawn lock ${path} was not free within ${timeoutMs} ms: it is held by ${holder}. ${advice}`,
    { data: { path, holder, timeoutMs } },
  );
}
