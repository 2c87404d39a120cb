import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import type { Heartbeat } from '../containment/heartbeat.ts';
import { SupervisorError } from '../index.ts';
import { sleep } from '../os/clock.ts';
import type { Os, SelfIdentity } from '../os/os.ts';
import { systemOs } from '../os/system.ts';
import { createWhole, statOwn } from '../store/files.ts';
import { removeHeartbeat } from '../store/heartbeat-file.ts';
import { PID_FILE_VERSION, parseSpawnLock, type SpawnLockFile } from '../store/pid-record.ts';
import { isOver } from '../tree/identity.ts';
import { heartbeatIn } from './heartbeats.ts';
import { judgeRecorded, ownIdentity } from './inspect.ts';
import type { SpawnLockOptions } from './options.ts';
import { checkLockOptions, checkPath } from './schema.ts';

/** The right to start one daemon. */
export interface SpawnLock {
  /** `false` where no lock can be made, in a folder that cannot be written: then nobody is kept out. */
  readonly held: boolean;
  /** Gives the lock back, if it is still ours; safe to call again. */
  release(): void;
}

/** A lock as `ensureDaemon` sees it. */
export interface HeldLock extends SpawnLock {
  /** Tells this lock from every other one; a daemon that is started under it carries it in its cookie. */
  readonly nonce: string;
  /** The nonces of dead holders' locks: what was started under them may be nobody's. */
  readonly inherited: readonly string[];
}

/** How soon a waiter looks again; less often the longer it waits, for there may be many. */
const POLL_MS = 20;
const MAX_POLL_MS = 100;

const TAKEN = '.taken';
const MAX_LOCK_BYTES = 4096;

/** What a system says of a folder in which nothing can be made. */
const UNWRITABLE: ReadonlySet<unknown> = new Set(['EROFS', 'EACCES', 'EPERM', 'ENOSPC', 'EDQUOT']);

/**
 * Waits until nobody else holds the lock at `path`, and takes it. A dead holder's is taken over.
 *
 * @throws SupervisorError `READY_TIMEOUT` naming the holder, `ABORTED`, `STATE_DIR_UNSAFE` for a folder
 * that is none, or `INVALID_OPTIONS`, by rejection
 */
export async function acquireSpawnLock(
  path: string,
  options?: SpawnLockOptions,
): Promise<SpawnLock> {
  checkPath(path, 'acquireSpawnLock');
  const lock = await holdLock(resolve(path), checkLockOptions(options), systemOs());
  return { held: lock?.held ?? false, release: () => lock?.release() };
}

export interface LockWish {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Asked whenever the lock has changed hands: whether there is nothing left to wait for. */
  readonly isMoot?: () => Promise<boolean>;
}

/** {@link acquireSpawnLock} for input that has been checked; `undefined` when the wait has become moot. */
export async function holdLock(
  path: string,
  { timeoutMs, signal, isMoot }: LockWish,
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
 * One who wants the lock.
 *
 * Only one lock of a name can be made, and one that is removed never comes back: each has its own nonce.
 * The right to remove the lock of a dead holder, with the nonce X, belongs to whoever makes the file
 * `PATH.X.taken`, again one alone; if that one is dead too, with the nonce Y, to whoever makes
 * `PATH.Y.taken`, and so on. It is removed only if it still is X's. So nobody can remove the lock of a
 * living holder, however long he was stopped between two steps.
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
        if (!createWhole(this.#path, this.#text, this.nonce)) continue;
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
      if (!createWhole(this.#takenPath(holder.nonce), this.#text, this.nonce)) continue;
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
    const prefix = `${basename(this.#path)}.`;
    return readdirSync(dirname(this.#path))
      .filter((name) => name.startsWith(prefix) && name.endsWith(TAKEN))
      .map((name) => name.slice(prefix.length, -TAKEN.length));
  }

  #takenPath(nonce: string): string {
    return `${this.#path}.${nonce}${TAKEN}`;
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
