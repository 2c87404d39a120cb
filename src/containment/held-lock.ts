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

/** Time between two looks of a waiter; it grows with the wait, since there may be many waiters. */
const POLL_MS = 20;
const MAX_POLL_MS = 100;

const MAX_LOCK_BYTES = 4096;

/** Errors of a folder in which nothing can be made. */
const UNWRITABLE: ReadonlySet<unknown> = new Set(['EROFS', 'EACCES', 'EPERM', 'ENOSPC', 'EDQUOT']);

export interface LockOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Called whenever the lock has changed hands: is there nothing left to wait for? */
  readonly isMoot?: () => Promise<boolean>;
}

/** Waits for a lock and takes it; `undefined` when the wait has become moot. */
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
 * Only one lock of a name can be made, and one that is removed never comes back: each has its own nonce.
 * The right to remove the lock of a dead holder, with the nonce X, belongs to whoever makes the file
 * `PATH.X.taken`, again one alone; if that one is dead too, with the nonce Y, to whoever makes
 * `PATH.Y.taken`, and so on. It is removed only if it still is X's. So nobody can remove the lock of a
 * living holder, even one that was stopped for long between two steps.
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

  /** Known from the first file that names us, so that whoever removes that finds what we leave. */
  get #heartbeatId(): string | undefined {
    return this.#os.heartbeat && this.nonce.replaceAll('-', '').slice(0, 12);
  }

  get held(): boolean {
    return this.#held;
  }

  /** Tries once; returns who holds the lock, or `undefined` when there is nothing to wait for. */
  async compete(): Promise<string | undefined> {
    try {
      for (;;) {
        // Asked first: to look costs a waiter less than to try.
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
      // Whoever can write nothing here has nobody to keep out.
      if (UNWRITABLE.has((error as NodeJS.ErrnoException).code)) return undefined;
      throw unusable(this.#path, error);
    }
  }

  release(): void {
    if (!this.#held) return;
    this.#held = false;
    // First: of what the lock names nothing is to be left when nobody finds it any more.
    this.#heartbeat?.close();
    const lock = read(this.#path, this.#os);
    if (lock !== 'unreadable' && lock?.nonce === this.nonce) this.#removeAll();
  }

  #removeAll(): void {
    // While the lock is a living one's, rights on others are good for nothing; and what these have
    // started has been seen to.
    for (const nonce of this.#chain()) rmSync(this.#takenPath(nonce), { force: true });
    rmSync(this.#path, { force: true });
  }

  /** Gets the lock of a dead holder out of the way; returns who stands in it alive. */
  async #overcome(): Promise<string | undefined> {
    const dead: string[] = [];
    for (let at = this.#path; ; at = this.#takenPath(dead.at(-1) ?? '')) {
      const holder = read(at, this.#os);
      // Somebody was faster: the lock is free, or another one's.
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

  /** With the right to do so: nobody else removes the lock in between. */
  #remove(nonce: string): void {
    const lock = read(this.#path, this.#os);
    if (lock !== 'unreadable' && lock?.nonce === nonce) rmSync(this.#path, { force: true });
  }

  /** The nonces of all locks that were taken over, and of those who died over it. */
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
