import { closeSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { lockPaths, readConversationLock, takeoverNotePath } from '../store/conversation-lock.ts';
import { createFile, namesIn } from '../store/files.ts';
import { type ConversationLock, FORMAT_VERSION } from '../store/formats.ts';
import { journalLine } from '../store/journal.ts';
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
    if (isKept(lock, namesIn(stateDir))) continue;
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
  const names = namesIn(stateDir);
  for (const path of paths) {
    const lock = readConversationLock(path, os);
    if (typeof lock !== 'object' || lock.owner.instance === self.instance) continue;
    const { owner, id } = lock;
    if (hasJournal(owner.instance, names) || isKept(lock, names)) continue;
    const { verdict } = await judgeHere(owner, context);
    if (!isOver(verdict)) continue;
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
  const names = namesIn(stateDir).filter((name) => name.startsWith('claim-'));
  if (hasJournal(owner.instance, names)) rmSync(path, { force: true });
}

function hasJournal(owner: string, names: readonly string[]): boolean {
  return names.some((name) => name === `host-${owner}.jsonl` || name.startsWith(`claim-${owner}+`));
}

function isKept({ owner, id }: ConversationLock, names: readonly string[]): boolean {
  return names.includes(`kept-${owner.instance}.${id}.jsonl`);
}
