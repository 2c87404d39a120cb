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
 * Removes the conversation locks of a host that is proven dead, or those under a heartbeat that was
 * given up. The caller alone acts for that host.
 */
export function removeConversationLocks(
  owner: string,
  { os, stateDir }: RecoveryContext,
  heartbeat?: string,
): void {
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
 * Gives a dead host a journal again if only a conversation lock still names it (its process lived on by intention,
 * or somebody removed the journal): by that, one host alone can act for it.
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
    // Nothing can be written here.
    return;
  }
  // One that began before may still be at it.
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
