import { readFileSync, rmSync } from 'node:fs';
import { basename } from 'node:path';
import type { Os } from '../os/os.ts';
import { cookieSegment } from '../tree/cookie.ts';
import type { Owner } from '../tree/identity.ts';
import { createExclusive } from './exclusive.ts';
import { assertReplaceable, filesIn, readOwnFile, replaceFile } from './files.ts';
import { type ConversationLock, FORMAT_VERSION, parseConversationLock } from './formats.ts';
import { jsonLine } from './jsonl.ts';
import { conversationLockPath, conversationWaitPath, takeoverNotePath } from './layout.ts';

/**
 * Time for which a ceded conversation is left to the host that has just taken it over, in ms.
 *
 * Without it, a caller that starts its agent again at once would always be faster, and lose it again.
 */
const CEDED_MS = 500;

/** The paths of all conversation locks in a state directory. */
export function lockPaths(stateDir: string): string[] {
  const files = filesIn(stateDir, 'conversation');
  return files.filter(({ ending }) => ending === 'json').map(({ path }) => path);
}

/** Reads a conversation lock that nobody else can have written; `undefined` where there is none. */
export function readConversationLock(
  path: string,
  os: Os,
): ConversationLock | 'unreadable' | undefined {
  try {
    const lock = parseConversationLock(JSON.parse(readOwnFile(path, os)));
    // A lock of another conversation proves nothing about this one.
    return lock && isLockOf(lock, path) ? lock : 'unreadable';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? undefined : 'unreadable';
  }
}

function isLockOf({ conversation }: ConversationLock, path: string): boolean {
  return basename(conversationLockPath('', conversation)) === basename(path);
}

export interface ConversationLockOptions {
  readonly os: Os;
  readonly stateDir: string;
  owner(): Owner;
  warn(message: string, cause?: unknown): void;
  /** Called before anything is written: this host may have been given up meanwhile. */
  catchUp?(): void;
}

/** The conversation locks of one host: a file each, which only one host at a time can create. */
export class ConversationLockFiles {
  protected readonly os: Os;
  protected readonly stateDir: string;
  readonly #options: ConversationLockOptions;
  /** The ids of the records that hold them. */
  readonly #held = new Map<string, string>();
  /** On the monotonic clock. */
  readonly #cededUntilMs = new Map<string, number>();

  constructor(options: ConversationLockOptions) {
    this.#options = options;
    this.os = options.os;
    this.stateDir = options.stateDir;
  }

  take(key: string, id: string): boolean {
    const path = this.pathOf(key);
    if (this.isCeded(key)) return false;
    this.#options.catchUp?.();
    try {
      if (!createExclusive(path, this.#text(key, id), this.instance)) return false;
      rmSync(takeoverNotePath(path), { force: true });
    } catch (error) {
      // What cannot be written may still be read.
      if (this.#isAnothers(path)) return false;
      this.#options.warn(`conversation "${key}" could not be locked for all hosts`, error);
    }
    this.#held.set(key, id);
    return true;
  }

  pass(key: string, id: string): boolean {
    this.#options.catchUp?.();
    if (!this.#held.has(key)) return false;
    this.#held.set(key, id);
    const path = this.pathOf(key);
    this.#attempt(key, () => {
      if (!this.#isAnothers(path)) replaceFile(path, this.#text(key, id), this.instance);
    });
    return true;
  }

  release(key: string): void {
    const path = this.pathOf(key);
    if (this.wasTakenOver(key, this.#held.get(key) ?? ''))
      this.#cededUntilMs.set(key, this.os.clock.monotonicMs() + CEDED_MS);
    this.#held.delete(key);
    this.#attempt(key, () => {
      if (this.#isAnothers(path)) return;
      rmSync(takeoverNotePath(path), { force: true });
      rmSync(path, { force: true });
    });
  }

  announce(key: string, sinceMs: number | undefined): void {
    const path = conversationWaitPath(this.pathOf(key), this.instance);
    this.#attempt(key, () => {
      if (sinceMs === undefined) rmSync(path, { force: true });
      else replaceFile(path, jsonLine({ sinceMs }), this.instance);
    });
  }

  isPreceded(key: string, sinceMs: number): boolean {
    const lock = this.pathOf(key);
    return filesIn(this.stateDir, 'conversation').some(({ path, waiter }) => {
      if (waiter === undefined || waiter === this.instance) return false;
      if (path !== conversationWaitPath(lock, waiter)) return false;
      const theirs = this.#waitsSinceMs(path);
      return theirs !== undefined && theirs < sinceMs;
    });
  }

  #waitsSinceMs(path: string): number | undefined {
    try {
      const { sinceMs } = JSON.parse(readOwnFile(path, this.os));
      return typeof sinceMs === 'number' ? sinceMs : undefined;
    } catch {
      // It has just been removed, or is none of ours.
      return undefined;
    }
  }

  /** Gives all locks up and writes nothing: other hosts hold them by now. Returns the ids of their records. */
  forfeit(): string[] {
    const ids = [...this.#held.values()];
    this.#held.clear();
    return ids;
  }

  /** Number of conversations that this host has locked. */
  get heldCount(): number {
    return this.#held.size;
  }

  /** Tells that another host has just ended this process of ours, to run the conversation itself. */
  wasTakenOver(key: string, id: string): boolean {
    try {
      const { of } = JSON.parse(readFileSync(takeoverNotePath(this.pathOf(key)), 'utf8'));
      return of === cookieSegment({ owner: this.instance, id });
    } catch {
      return false;
    }
  }

  /** Writes our locks anew with an identity that has become known. */
  identify(): void {
    for (const [key, id] of [...this.#held]) this.pass(key, id);
  }

  /** Writes removed and torn locks of ours anew; returns their paths. */
  check(): string[] {
    return [...this.#held].flatMap(([key, id]) => {
      const path = this.pathOf(key);
      try {
        const lock = readConversationLock(path, this.os);
        if (typeof lock === 'object') return [];
        if (lock === undefined)
          return createExclusive(path, this.#text(key, id), this.instance) ? [path] : [];
        // A torn one of our own; anything but a file stays where it is.
        assertReplaceable(path, this.os.userId());
        replaceFile(path, this.#text(key, id), this.instance);
        return [path];
      } catch {
        // Its folder cannot be written, which the journal tells of.
        return [];
      }
    });
  }

  protected get instance(): string {
    return this.#options.owner().instance;
  }

  protected isHeld(key: string): boolean {
    return this.#held.has(key);
  }

  /** Tells that the conversation is left to the host that has just taken it over. */
  protected isCeded(key: string): boolean {
    return this.os.clock.monotonicMs() < (this.#cededUntilMs.get(key) ?? 0);
  }

  /** That host has had its turn. */
  protected reclaim(key: string): void {
    this.#cededUntilMs.delete(key);
  }

  protected pathOf(key: string): string {
    return conversationLockPath(this.stateDir, key);
  }

  #isAnothers(path: string): boolean {
    const lock = readConversationLock(path, this.os);
    if (lock === undefined || lock === 'unreadable') return lock !== undefined;
    return lock.owner.instance !== this.instance;
  }

  #text(conversation: string, id: string): string {
    const owner = this.#options.owner();
    const lock: ConversationLock = { version: FORMAT_VERSION, conversation, owner, id };
    return jsonLine(lock);
  }

  #attempt(key: string, change: () => void): void {
    try {
      change();
    } catch (error) {
      this.#options.warn(`the lock on conversation "${key}" could not be written`, error);
    }
  }
}
