import { rmSync } from 'node:fs';
import { sliced } from '../os/clock.ts';
import { takeIf } from '../store/exclusive.ts';
import { filesIn } from '../store/files.ts';
import type { SupervisionRecord } from '../store/formats.ts';
import { removeHeartbeat } from '../store/heartbeat-file.ts';
import { readShares, removeShares } from '../store/host-share.ts';
import { headerOf } from '../store/journal-reader.ts';
import { removeOrders } from '../store/operator-requests.ts';
import type { Owner, OwnerVerdict } from '../tree/identity.ts';
import type { RecoveryContext } from './context.ts';
import { removeConversationLocks } from './dead-locks.ts';
import type { OrphanReport } from './orphans.ts';

/** An owner that is dead, of another boot, or given up. */
export interface Finished {
  readonly owner: Owner;
  readonly verdict: OwnerVerdict;
}

/**
 * Takes the journal of a dead or given-up owner, so that this host alone acts for it.
 *
 * Returns `false` if another host does, or if the owner lives after all.
 */
export function takeJournal(
  path: string,
  claim: string,
  { owner, verdict }: Finished,
  { os, detector }: RecoveryContext,
): boolean {
  const { heartbeat } = owner;
  const isSilent = verdict === 'given-up' && heartbeat !== undefined;
  if (isSilent && !detector?.giveUp(heartbeat)) return false;
  // The owner may have woken in between, with a new heartbeat and a journal that says so.
  const isIts = (journal: string) =>
    !isSilent || headerOf(journal, os, [])?.owner.heartbeat === heartbeat;
  // This host may have begun an earlier recovery, and left survivors.
  return path === claim ? isIts(path) : takeIf(path, claim, isIts);
}

/** Removes all locks and files of an owner from the state directory; no process of it lives here. */
export async function forget(
  { owner, verdict }: Finished,
  records: ReadonlyMap<string, SupervisionRecord>,
  report: OrphanReport,
  context: RecoveryContext,
): Promise<void> {
  const { instance, heartbeat } = owner;
  // A given-up owner may have taken new locks, under another heartbeat.
  removeConversationLocks(instance, context, verdict === 'given-up' ? heartbeat : undefined);
  if (verdict !== 'given-up' || !hasNewShare(instance, heartbeat, context))
    removeShares(context.stateDir, instance);
  // Kept processes are judged by this heartbeat.
  const isKept = filesIn(context.stateDir, 'kept').some((file) => file.owner === instance);
  if (!isKept) removeHeartbeat(context.stateDir, heartbeat);
  if (verdict !== 'given-up') removeHalfWritten(instance, context.stateDir);
  removeOrders(context.stateDir, { owner: instance });
  await note(instance, records, report, context);
}

/** Tells that a given-up owner has woken, and says anew what it holds of the machine's slots. */
function hasNewShare(
  instance: string,
  heartbeat: string | undefined,
  { os, stateDir }: RecoveryContext,
): boolean {
  return readShares(stateDir, os).some(
    ({ owner, share }) => owner === instance && share?.owner.heartbeat !== heartbeat,
  );
}

/** Records how a dead owner's processes ended: ended by this host, or unseen. */
async function note(
  owner: string,
  records: ReadonlyMap<string, SupervisionRecord>,
  { ended }: OrphanReport,
  { history, os }: RecoveryContext,
): Promise<void> {
  for (const report of ended) history?.ended(owner, records.get(report.id) ?? report, report);
  const seen = new Set(ended.map(({ id }) => id));
  // There may be thousands.
  const rest = sliced(os.clock);
  for (const record of records.values()) {
    if (!seen.has(record.id)) history?.lost(owner, record);
    await rest();
  }
}

/** Removes files that a host was writing when it died. */
function removeHalfWritten(owner: string, stateDir: string): void {
  for (const { name, path } of filesIn(stateDir, 'half-written'))
    if (name.includes(owner)) rmSync(path, { force: true });
}
