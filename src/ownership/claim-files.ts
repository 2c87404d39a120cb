import { createHash } from 'node:crypto';
import { closeSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Holder } from '../admission/conversation.ts';
import type { Claims } from '../admission/conversations.ts';
import type { Os } from '../os/os.ts';
import { claimsOf, cookieSegment } from './cookie.ts';
import { createFile, createWhole, replaceFile, statOwn } from './files.ts';
import { judgeOwner, type Owner, type OwnerVerdict } from './identity.ts';
import { journalLine } from './journal.ts';
import { readSafely } from './journal-reader.ts';
import { endRecorded } from './orphans.ts';
import { type Claim, FORMAT_VERSION, parseClaim } from './record.ts';
import type { RecoveryContext } from './recovery.ts';

const FILE = /^conversation-[0-9a-f]{32}\.json$/;
const MAX_CLAIM_BYTES = 64 * 1024;
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

  pass(key: string, id: string): void {
    this.#held.set(key, id);
    const path = this.#pathOf(key);
    const { instance } = this.#options.owner();
    this.#attempt(key, () => {
      if (!this.#isAnothers(path)) replaceFile(path, this.#text(key, id), instance);
    });
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

  async holder(key: string): Promise<{ holder: Holder; name: string }> {
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
    const verdict = await judge(owner, context);
    const kept = cookieSegment({ owner: owner.instance, id, kept: true });
    if (verdict === 'dead' && (await isCarried([kept], context.os)))
      return { holder: 'unproven', name: `${name}, which it has outlived,` };
    const holder = HOLDERS[verdict];
    if (holder !== 'unproven') return { holder, name };
    const advice = `cannot be judged from here; remove ${path} if it is gone`;
    return { holder, name: `${name} (which ${advice})` };
  }

  async recover(): Promise<void> {
    await this.#options.sweep();
  }

  async takeOver(key: string): Promise<void> {
    const path = this.#pathOf(key);
    const { os, stateDir } = this.#options;
    const claim = readClaim(path, os);
    if (claim === undefined || claim === 'unreadable') return;
    const { owner, id } = claim;
    const files = [`host-${owner.instance}.jsonl`, `kept-${owner.instance}.${id}.jsonl`];
    for (const name of files) {
      const record = (await readSafely(join(stateDir, name), os, []))?.records.get(id);
      if (record === undefined) continue;
      // Before the first signal: its host tells by it why its agent ends.
      const note = JSON.stringify({ of: cookieSegment({ owner: owner.instance, id }) });
      replaceFile(takeoverOf(path), note, this.#options.owner().instance);
      await endRecorded(owner.instance, record, await this.#options.recovery());
    }
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
    for (const [key, id] of this.#held) this.pass(key, id);
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
    return join(this.#options.stateDir, fileNameOf(key));
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
  elsewhere: 'unproven',
  unproven: 'unproven',
};

/** Removes the claims of an owner that is proven dead, as nothing of it lives; the caller alone acts for that owner. */
export function removeClaims(owner: string, { os, stateDir }: RecoveryContext): void {
  for (const path of claimPaths(stateDir)) {
    const claim = readClaim(path, os);
    if (typeof claim !== 'object' || claim.owner.instance !== owner) continue;
    if (isKept(claim, readdirSync(stateDir))) continue;
    rmSync(path, { force: true });
    rmSync(takeoverOf(path), { force: true });
  }
}

/**
 * Gives a dead owner a journal again if only a claim still names it (its process lived on by intention,
 * or somebody removed the journal): by that, one host alone can act for it.
 */
export async function reviveJournals(context: RecoveryContext): Promise<void> {
  const { os, self, stateDir } = context;
  const paths = claimPaths(stateDir);
  if (paths.length === 0) return;
  const names = readdirSync(stateDir);
  for (const path of paths) {
    const claim = readClaim(path, os);
    if (typeof claim !== 'object' || claim.owner.instance === self.instance) continue;
    const { owner, id } = claim;
    if (hasJournal(owner.instance, names) || isKept(claim, names)) continue;
    const verdict = await judge(owner, context);
    if (verdict !== 'dead' && verdict !== 'rebooted') continue;
    const segment = { owner: owner.instance, id };
    const either = [cookieSegment(segment), cookieSegment({ ...segment, kept: true })];
    if (verdict === 'dead' && (await isCarried(either, os))) continue;
    revive(owner, context);
  }
}

function revive(owner: Owner, { os, stateDir, dryRun }: RecoveryContext): void {
  if (dryRun) return;
  const path = join(stateDir, `host-${owner.instance}.jsonl`);
  const header = { version: FORMAT_VERSION, owner, openedAt: os.clock.now() };
  try {
    closeSync(createFile(path, journalLine(header)));
  } catch {
    // Another host was faster.
    return;
  }
  // One that began before may still be at it.
  const names = readdirSync(stateDir).filter((name) => name.startsWith('claim-'));
  if (hasJournal(owner.instance, names)) rmSync(path, { force: true });
}

function hasJournal(owner: string, names: readonly string[]): boolean {
  return names.some((name) => name === `host-${owner}.jsonl` || name.startsWith(`claim-${owner}+`));
}

function isKept({ owner, id }: Claim, names: readonly string[]): boolean {
  return names.includes(`kept-${owner.instance}.${id}.jsonl`);
}

async function isCarried(wanted: readonly string[], os: Os): Promise<boolean> {
  const table = await os.processes.look();
  return [...table.values()].some(({ cookie }) =>
    claimsOf(cookie).some((claim) => wanted.includes(claim)),
  );
}

async function judge(owner: Owner, { os, self }: RecoveryContext): Promise<OwnerVerdict> {
  const { read, look } = os.processes;
  const table = read === undefined ? await look() : undefined;
  try {
    return judgeOwner(owner, self, read ?? ((pid) => table?.get(pid)));
  } catch {
    return 'unproven';
  }
}

function fileNameOf(key: string): string {
  const name = createHash('sha256').update(key).digest('hex').slice(0, 32);
  return `conversation-${name}.json`;
}

function claimPaths(stateDir: string): string[] {
  return readdirSync(stateDir)
    .filter((name) => FILE.test(name))
    .map((name) => join(stateDir, name));
}

/** Where a host says whose agent it ends to run the conversation itself. */
function takeoverOf(path: string): string {
  return path.replace(/\.json$/, '.takeover');
}

/** `undefined` for a claim that is not there. */
function readClaim(path: string, os: Os): Claim | 'unreadable' | undefined {
  try {
    const stat = statOwn(path, os);
    if (!stat.isFile() || stat.size > MAX_CLAIM_BYTES) return 'unreadable';
    const claim = parseClaim(JSON.parse(readFileSync(path, 'utf8')));
    // One of another conversation proves nothing about this one.
    return claim && fileNameOf(claim.conversation) === basename(path) ? claim : 'unreadable';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? undefined : 'unreadable';
  }
}
