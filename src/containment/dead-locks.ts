import { rmSync } from 'node:fs';
import { lockPaths, readConversationLock } from '../store/conversation-lock.ts';
import { createExclusive } from '../store/exclusive.ts';
import { filesIn } from '../store/files.ts';
import { type ConversationLock, FORMAT_VERSION } from '../store/formats.ts';
import { jsonLine } from '../store/jsonl.ts';
import { journalPath, takeoverNotePath } from '../store/layout.ts';
import { cookieSegment } from '../tree/cookie.ts';
import { isOver, type Owner } from '../tree/identity.ts';
import type { RecoveryContext } from './context.ts';
import { isCarried, judgeHere } from './judge.ts';

/**
 * Removes the conversation locks of a host that is proven dead, or whose heartbeat was given up.
 *
 * With `heartbeat`, only locks taken under that heartbeat go. Call it only while this host alone acts for the
 * dead one.
 */
export function removeConversationLocks(
  owner: string,
  { os, stateDir }: RecoveryContext,
  heartbeat?: string,
): void {
  for (const file of filesIn(stateDir, 'conversation'))
    if (file.waiter === owner) rmSync(file.path, { force: true });
  for (const path of lockPaths(stateDir)) {
    const lock = readConversationLock(path, os);
    if (typeof lock !== 'object' || lock.owner.instance !== owner) continue;
    if (heartbeat !== undefined && lock.owner.heartbeat !== heartbeat) continue;
    if (isKept(lock, filesIn(stateDir, 'kept'))) continue;
    rmSync(path, { force: true });
    rmSync(takeoverNotePath(path), { force: true });
  }
}

/**
 * Restores the journal of a dead host that only a conversation lock still names.
 *
 * Its process was meant to live on, or the journal was removed. The journal lets one host alone act for the
 * dead one.
 */
export async function reviveJournals(context: RecoveryContext): Promise<void> {
  const { os, self, stateDir } = context;
  const paths = lockPaths(stateDir);
  if (paths.length === 0) return;
  const journals = filesIn(stateDir, 'journal', 'claim');
  const kept = filesIn(stateDir, 'kept');
  for (const path of paths) {
    const lock = readConversationLock(path, os);
    if (typeof lock !== 'object' || lock.owner.instance === self.instance) continue;
    const { owner, id } = lock;
    if (hasJournal(owner.instance, journals) || isKept(lock, kept)) continue;
    const { verdict } = await judgeHere(owner, context);
    if (!isOver(verdict)) continue;
    const segment = { owner: owner.instance, id };
    const either = [cookieSegment(segment), cookieSegment({ ...segment, kept: true })];
    if (verdict === 'dead' && (await isCarried(either, os))) continue;
    revive(owner, context);
  }
}

function revive(owner: Owner, { os, self, stateDir, dryRun }: RecoveryContext): void {
  if (dryRun) return;
  const path = journalPath(stateDir, owner.instance);
  const header = { version: FORMAT_VERSION, owner, openedAt: os.clock.now() };
  try {
    if (!createExclusive(path, jsonLine(header), self.instance)) return;
  } catch {
    // The state directory is not writable.
    return;
  }
  // Another host may have begun an earlier recovery, and may still be at work.
  if (hasJournal(owner.instance, filesIn(stateDir, 'claim'))) rmSync(path, { force: true });
}

function hasJournal(instance: string, journals: readonly { readonly owner: string }[]): boolean {
  return journals.some(({ owner }) => owner === instance);
}

function isKept(
  { owner, id }: ConversationLock,
  kept: readonly { readonly owner: string; readonly id: string }[],
): boolean {
  return kept.some((file) => file.owner === owner.instance && file.id === id);
}
