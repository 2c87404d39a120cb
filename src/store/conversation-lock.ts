import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { judgeHere } from '../containment/judge.ts';
import { endRecorded } from '../containment/orphans.ts';
import type { RecoveryContext } from '../containment/recovery.ts';
import type { Os } from '../os/os.ts';
import type { Holder } from '../policy/conversation-rules.ts';
import type { Claims } from '../policy/conversations.ts';
import { cookieSegment } from '../tree/cookie.ts';
import type { Owner, OwnerVerdict } from '../tree/identity.ts';
import { claimFileName, isCarried, readClaim, takeoverOf } from './claim.ts';
import { assertReplaceable, createWhole, replaceFile } from './files.ts';
import { type Claim, FORMAT_VERSION } from './formats.ts';
import { journalLine } from './journal.ts';
import { readSafely } from './journal-reader.ts';

/**
 * How long a conversation is left to the host that has taken it over from us: who starts its agent
 * again at its end would always be faster, and lose it again.
 */
const CEDED_MS = 500;

export interface ClaimFilesOptions {
  readonly os: Os;
  readonly stateDir: string;
  owner(): Owner;
  recovery(): Promise<RecoveryContext>;
  /** Ends what dead owners left. */
  sweep(): Promise<unknown>;
  warn(message: string, cause?: unknown): void;
  /** Called before anything is written: we may have been given up meanwhile. */
  catchUp?(): void;
}

/** The claims on conversations: one file each, which only one owner at a time can make. */
export class ClaimFiles implements Claims {
  readonly #options: ClaimFilesOptions;
  readonly #held = new Map<string, string>();
  /** Until when, on the monotonic clock. */
  readonly #ceded = new Map<string, number>();

  constructor(options: ClaimFilesOptions) {
    this.#options = options;
  }

  take(key: string, id: string): boolean {
    const path = this.#pathOf(key);
    if (this.#isCeded(key)) return false;
    this.#options.catchUp?.();
    try {
      if (!createWhole(path, this.#text(key, id), this.#options.owner().instance)) return false;
      rmSync(takeoverOf(path), { force: true });
    } catch (error) {
      // What cannot be written may still be read.
      if (this.#isAnothers(path)) return false;
      this.#options.warn(`conversation "${key}" could not be claimed for all hosts`, error);
    }
    this.#held.set(key, id);
    return true;
  }

  pass(key: string, id: string): boolean {
    this.#options.catchUp?.();
    if (!this.#held.has(key)) return false;
    this.#held.set(key, id);
    const path = this.#pathOf(key);
    const { instance } = this.#options.owner();
    this.#attempt(key, () => {
      if (!this.#isAnothers(path)) replaceFile(path, this.#text(key, id), instance);
    });
    return true;
  }

  /** How many conversations are ours. */
  get held(): number {
    return this.#held.size;
  }

  /** Gives all of them up, and writes nothing: they are somebody else's by now. Returns for which records they were. */
  forfeit(): string[] {
    const ids = [...this.#held.values()];
    this.#held.clear();
    return ids;
  }

  release(key: string): void {
    const path = this.#pathOf(key);
    const { clock } = this.#options.os;
    if (this.wasTakenOver(key, this.#held.get(key) ?? ''))
      this.#ceded.set(key, clock.monotonicMs() + CEDED_MS);
    this.#held.delete(key);
    this.#attempt(key, () => {
      if (this.#isAnothers(path)) return;
      rmSync(takeoverOf(path), { force: true });
      rmSync(path, { force: true });
    });
  }

  async holder(
    key: string,
    askedAtMs = this.#options.os.clock.monotonicMs(),
  ): Promise<{ holder: Holder; name: string }> {
    const path = this.#pathOf(key);
    const claim = readClaim(path, this.#options.os);
    if (claim === undefined && this.#isCeded(key))
      return { holder: 'another', name: 'the host that has just taken it over' };
    this.#ceded.delete(key);
    if (claim === undefined) return { holder: 'nobody', name: '' };
    if (claim === 'unreadable') {
      const advice = 'remove it if no agent runs that conversation';
      return { holder: 'unproven', name: `whoever wrote ${path} (unreadable; ${advice})` };
    }
    const { owner, id } = claim;
    if (owner.instance === this.#options.owner().instance) {
      // Nobody of ours runs it, or nobody would ask: it could not be removed then.
      if (!this.#held.has(key)) rmSync(path, { force: true });
      return { holder: 'nobody', name: '' };
    }
    const name = `process ${id} of supervisor ${owner.instance} (host pid ${owner.pid})`;
    const context = await this.#options.recovery();
    const { verdict, aliveAtMs } = await judgeHere(owner, context);
    const kept = cookieSegment({ owner: owner.instance, id, kept: true });
    const livesOn = existsSync(join(this.#options.stateDir, `kept-${owner.instance}.${id}.jsonl`));
    if (
      (verdict === 'dead' && (await isCarried([kept], context.os))) ||
      (verdict === 'given-up' && livesOn)
    )
      return { holder: 'unproven', name: `${name}, which it has outlived,` };
    const holder = HOLDERS[verdict];
    if (holder !== 'unproven') return { holder, name };
    // Alive, or silent for long enough: one of both will be seen.
    if (aliveAtMs !== undefined)
      return { holder: aliveAtMs >= askedAtMs ? 'out of reach' : 'silent', name };
    const advice = `cannot be judged from here; if it is gone, run "agent-supervisor recover --forget ${owner.instance}" or remove ${path}`;
    return { holder, name: `${name} (which ${advice})` };
  }

  async recover(): Promise<void> {
    await this.#options.sweep();
  }

  async takeOver(key: string): Promise<boolean> {
    const path = this.#pathOf(key);
    const { os, stateDir } = this.#options;
    const claim = readClaim(path, os);
    if (claim === undefined || claim === 'unreadable') return false;
    const { owner, id } = claim;
    const files = [`host-${owner.instance}.jsonl`, `kept-${owner.instance}.${id}.jsonl`];
    for (const name of files) {
      const record = (await readSafely(join(stateDir, name), os, []))?.records.get(id);
      if (record === undefined) continue;
      // Before the first signal: its host tells by it why its agent ends.
      const note = JSON.stringify({ of: cookieSegment({ owner: owner.instance, id }) });
      replaceFile(takeoverOf(path), note, this.#options.owner().instance);
      const context = await this.#options.recovery();
      return (await endRecorded(owner.instance, record, context)).length === 0;
    }
    return false;
  }

  /** Whether another host has just ended this process of ours, to run the conversation itself. */
  wasTakenOver(key: string, id: string): boolean {
    try {
      const { of } = JSON.parse(readFileSync(takeoverOf(this.#pathOf(key)), 'utf8'));
      return of === cookieSegment({ owner: this.#options.owner().instance, id });
    } catch {
      return false;
    }
  }

  /** Writes our claims anew with an identity that has become known. */
  identify(): void {
    for (const [key, id] of [...this.#held]) this.pass(key, id);
  }

  /** Writes anew what somebody has removed of our claims; returns the paths. */
  check(): string[] {
    return [...this.#held].flatMap(([key, id]) => {
      const path = this.#pathOf(key);
      try {
        const { os } = this.#options;
        const { instance } = this.#options.owner();
        const claim = readClaim(path, os);
        if (typeof claim === 'object') return [];
        if (claim === undefined)
          return createWhole(path, this.#text(key, id), instance) ? [path] : [];
        // A torn one of our own; what is none stays where it is.
        assertReplaceable(path, os.userId());
        replaceFile(path, this.#text(key, id), instance);
        return [path];
      } catch {
        // Its folder cannot be written, which the journal tells of.
        return [];
      }
    });
  }

  #isCeded(key: string): boolean {
    return this.#options.os.clock.monotonicMs() < (this.#ceded.get(key) ?? 0);
  }

  #isAnothers(path: string): boolean {
    const claim = readClaim(path, this.#options.os);
    if (claim === undefined || claim === 'unreadable') return claim !== undefined;
    return claim.owner.instance !== this.#options.owner().instance;
  }

  #text(conversation: string, id: string): string {
    const claim: Claim = {
      version: FORMAT_VERSION,
      conversation,
      owner: this.#options.owner(),
      id,
    };
    return journalLine(claim);
  }

  #pathOf(key: string): string {
    return join(this.#options.stateDir, claimFileName(key));
  }

  #attempt(key: string, change: () => void): void {
    try {
      change();
    } catch (error) {
      this.#options.warn(`the claim on conversation "${key}" could not be written`, error);
    }
  }
}

const HOLDERS: Readonly<Record<OwnerVerdict, Holder>> = {
  alive: 'another',
  dead: 'the dead',
  rebooted: 'the dead',
  'given-up': 'the dead',
  elsewhere: 'unproven',
  unproven: 'unproven',
};
