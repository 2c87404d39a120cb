import { existsSync, rmSync } from 'node:fs';
import type { ConversationLocks } from '../policy/conversation-lease.ts';
import type { Holder } from '../policy/conversation-rules.ts';
import {
  ConversationLockFiles,
  type ConversationLockOptions,
  readConversationLock,
} from '../store/conversation-lock.ts';
import { replaceFile } from '../store/files.ts';
import { readSafely } from '../store/journal-reader.ts';
import { journalPath, keptPath, takeoverNotePath } from '../store/layout.ts';
import { cookieSegment } from '../tree/cookie.ts';
import type { OwnerVerdict } from '../tree/identity.ts';
import type { RecoveryContext } from './context.ts';
import { isCarried, judgeHere } from './judge.ts';
import { endRecorded } from './orphans.ts';

export interface SharedLockOptions extends ConversationLockOptions {
  recovery(): Promise<RecoveryContext>;
  /** Ends the processes of dead hosts. */
  sweep(): Promise<unknown>;
}

/** The conversation locks of all hosts: judges their holders, and takes conversations over. */
export class SharedConversationLocks extends ConversationLockFiles implements ConversationLocks {
  readonly #options: SharedLockOptions;

  constructor(options: SharedLockOptions) {
    super(options);
    this.#options = options;
  }

  async holder(
    key: string,
    askedAtMs = this.os.clock.monotonicMs(),
  ): Promise<{ holder: Holder; name: string }> {
    const path = this.pathOf(key);
    const lock = readConversationLock(path, this.os);
    if (lock === undefined && this.isCeded(key))
      return { holder: 'another', name: 'the host that has just taken it over' };
    this.reclaim(key);
    if (lock === undefined) return { holder: 'nobody', name: '' };
    if (lock === 'unreadable') {
      const advice = 'remove it if no agent runs that conversation';
      return { holder: 'unproven', name: `whoever wrote ${path} (unreadable; ${advice})` };
    }
    const { owner, id } = lock;
    if (owner.instance === this.instance) {
      // No own process runs it, or this method would not be called: the file could not be removed earlier.
      if (!this.isHeld(key)) rmSync(path, { force: true });
      return { holder: 'nobody', name: '' };
    }
    const name = `process ${id} of supervisor ${owner.instance} (host pid ${owner.pid})`;
    const context = await this.#options.recovery();
    const { verdict, aliveAtMs } = await judgeHere(owner, context);
    const kept = cookieSegment({ owner: owner.instance, id, kept: true });
    const livesOn = existsSync(keptPath(this.stateDir, owner.instance, id));
    if (
      (verdict === 'dead' && (await isCarried([kept], context.os))) ||
      (verdict === 'given-up' && livesOn)
    )
      return { holder: 'unproven', name: `${name}, which it has outlived,` };
    const holder = HOLDERS[verdict];
    if (holder !== 'unproven') return { holder, name };
    // Not decided yet: a later question finds either a sign of life or enough silence.
    if (aliveAtMs !== undefined)
      return { holder: aliveAtMs >= askedAtMs ? 'out of reach' : 'silent', name };
    const advice = `cannot be judged from here; if it is gone, run "agent-supervisor recover --forget ${owner.instance}" or remove ${path}`;
    return { holder, name: `${name} (which ${advice})` };
  }

  async recover(): Promise<void> {
    await this.#options.sweep();
  }

  async takeOver(key: string): Promise<boolean> {
    const path = this.pathOf(key);
    const lock = readConversationLock(path, this.os);
    if (lock === undefined || lock === 'unreadable') return false;
    const { owner, id } = lock;
    const { instance } = owner;
    const journals = [journalPath(this.stateDir, instance), keptPath(this.stateDir, instance, id)];
    for (const journal of journals) {
      const record = (await readSafely(journal, this.os, []))?.records.get(id);
      if (record === undefined) continue;
      // Before the first signal: the note tells the other host why its agent ends.
      const note = JSON.stringify({ of: cookieSegment({ owner: instance, id }) });
      replaceFile(takeoverNotePath(path), note, this.instance);
      const context = await this.#options.recovery();
      return (await endRecorded(instance, record, context)).length === 0;
    }
    return false;
  }
}

const HOLDERS: Readonly<Record<OwnerVerdict, Holder>> = {
  alive: 'another',
  dead: 'dead host',
  rebooted: 'dead host',
  'given-up': 'dead host',
  elsewhere: 'unproven',
  unproven: 'unproven',
};
