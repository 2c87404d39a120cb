import { rmSync } from 'node:fs';
import { filesIn } from '../store/files.ts';
import { type FoundShare, readShares, removeShares } from '../store/host-share.ts';
import { headerOf } from '../store/journal-reader.ts';
import { isOver, type Owner } from '../tree/identity.ts';
import type { RecoveryContext } from './context.ts';
import { judgeBy, readerOf } from './judge.ts';
import { bearsMarkOf } from './orphans.ts';

/** Finds whose share of a machine's slots a file is: by its content, or else by its owner's journal. */
export function ownerOf(
  { owner, share }: FoundShare,
  { os, stateDir }: Pick<RecoveryContext, 'os' | 'stateDir'>,
): Owner | undefined {
  if (share !== undefined) return share.owner;
  for (const { path } of journalsOf(stateDir, owner)) {
    const header = headerOf(path, os, []);
    if (header?.owner.instance === owner) return header.owner;
  }
  return undefined;
}

export function hasJournal(stateDir: string, owner: string): boolean {
  return journalsOf(stateDir, owner).length > 0;
}

function journalsOf(stateDir: string, owner: string) {
  return filesIn(stateDir, 'journal', 'claim').filter((file) => file.owner === owner);
}

/**
 * Frees the slots of hosts that have left no journal, by which they would have been recovered.
 *
 * The host must be proven dead, and no live process may bear its mark. Nothing is signalled.
 */
export async function removeDeadShares(context: RecoveryContext): Promise<void> {
  const { os, stateDir, self, dryRun } = context;
  if (dryRun) return;
  const left = readShares(stateDir, os).filter(
    ({ owner }) => owner !== self.instance && !hasJournal(stateDir, owner),
  );
  if (left.length === 0) return;
  const read = await readerOf(os);
  for (const { path, owner, share } of left) {
    if (share !== undefined && !isOver((await judgeBy(share.owner, context, read)).verdict))
      continue;
    if (bearsMarkOf(owner, await os.processes.snapshot())) continue;
    // A live host may have written its journal anew.
    if (!hasJournal(stateDir, owner)) rmSync(path, { force: true });
  }
  removeShares(stateDir);
}
