import { rmSync } from 'node:fs';
import { sliced } from '../os/clock.ts';
import { takeIf } from '../store/exclusive.ts';
import { filesIn } from '../store/files.ts';
import type { SupervisionRecord } from '../store/formats.ts';
import { removeHeartbeat } from '../store/heartbeat-file.ts';
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

/** Takes the journal of one who is over, to act for it alone; `false` if others do, or if it lives after all. */
export function takeJournal(
  path: string,
  claim: string,
  { owner, verdict }: Finished,
  { os, detector }: RecoveryContext,
): boolean {
  const { heartbeat } = owner;
  const isSilent = verdict === 'given-up' && heartbeat !== undefined;
  if (isSilent && !detector?.giveUp(heartbeat)) return false;
  // It may have woken in between, with a new heartbeat and a journal that says so.
  const isIts = (journal: string) =>
    !isSilent || headerOf(journal, os, [])?.owner.heartbeat === heartbeat;
  // This host may have begun before, and left survivors.
  return path === claim ? isIts(path) : takeIf(path, claim, isIts);
}

/** Removes all that an owner had locked and left in the state directory; nothing of it lives here. */
export async function forget(
  { owner, verdict }: Finished,
  records: ReadonlyMap<string, SupervisionRecord>,
  report: OrphanReport,
  context: RecoveryContext,
): Promise<void> {
  const { instance, heartbeat } = owner;
  // One that was given up may have locked anew, under another heartbeat.
  removeConversationLocks(instance, context, verdict === 'given-up' ? heartbeat : undefined);
  // What lives on is judged by it.
  const isKept = filesIn(context.stateDir, 'kept').some((file) => file.owner === instance);
  if (!isKept) removeHeartbeat(context.stateDir, heartbeat);
  if (verdict !== 'given-up') removeHalfWritten(instance, context.stateDir);
  removeOrders(context.stateDir, { owner: instance });
  await note(instance, records, report, context);
}

/** Notes how a dead owner's processes ended: by us, or unseen. */
async function note(
  owner: string,
  records: ReadonlyMap<string, SupervisionRecord>,
  { ended }: OrphanReport,
  { history, os }: RecoveryContext,
): Promise<void> {
  for (const report of ended) history?.ended(owner, records.get(report.id) ?? report, report);
  const seen = new Set(ended.map(({ id }) => id));
  // Thousands of them, after a bad night.
  const rest = sliced(os.clock);
  for (const record of records.values()) {
    if (!seen.has(record.id)) history?.lost(owner, record);
    await rest();
  }
}

/** Removes what a host was writing in the moment of its death. */
function removeHalfWritten(owner: string, stateDir: string): void {
  for (const { name, path } of filesIn(stateDir, 'half-written'))
    if (name.includes(owner)) rmSync(path, { force: true });
}
