import { sliced } from '../os/clock.ts';
import type { Os } from '../os/os.ts';
import type { KeptProcess, SweepReport } from '../reports.ts';
import { removeOldDays } from '../store/daily-log.ts';
import type { SupervisionRecord } from '../store/formats.ts';
import { removeOldRestarts } from '../store/restart-log.ts';
import { observeClock } from '../store/retention.ts';
import type { EndableProcess } from '../tree/termination.ts';
import type { ProcessTree } from '../tree/tracked-tree.ts';
import type { RecoveryContext } from './context.ts';
import { removeDeadShares } from './dead-shares.ts';
import { findKept } from './kept.ts';
import { endStrays } from './orphans.ts';
import { recover } from './recovery.ts';
import { removeStaleFiles } from './stale-files.ts';

/** A process that survived its termination. */
export interface OverdueProcess extends Pick<EndableProcess, 'end'> {
  readonly record: { readonly id: string };
  readonly tree: Pick<ProcessTree, 'liveMembers'>;
}

/** The processes of the live supervisor on whose behalf a sweep runs. */
export interface OwnProcesses {
  /** Returns the ids of the records that are still of use. */
  known(): readonly string[];
  readonly overdue: readonly OverdueProcess[];
  /** The trees of the processes that are alive now. */
  readonly trees: readonly Pick<ProcessTree, 'membersIn'>[];
  /** If true, the state directory is neither read nor changed. */
  readonly isFolderUnsafe?: boolean;
}

/**
 * Finds and ends orphans once, by the state directory and the process table.
 *
 * Orphans are the processes of dead owners, survivors of a termination, and processes that carry this host's
 * cookie but belong to no known record.
 */
export async function sweep(
  context: RecoveryContext,
  { known, overdue, trees, isFolderUnsafe = false }: OwnProcesses,
): Promise<SweepReport> {
  const { clock } = context.os;
  const beganMs = clock.monotonicMs();
  await showAll(trees, context.os);
  const { recovered, unproven, living, removed, ...left } = isFolderUnsafe
    ? NOTHING
    : await tidyUp(context);
  const strays = await endStrays(context.self.instance, known, context);
  const again = await Promise.all(overdue.map((live) => endAgain(live, context.dryRun)));
  return {
    recovered,
    removed,
    unproven: [...unproven, ...living.unproven],
    kept: living.kept.map(({ record }) => describe(record)),
    ended: [...left.ended, ...strays.ended, ...again.flatMap(({ ended }) => ended)],
    survivors: [
      ...left.survivors,
      ...strays.survivors,
      ...again.flatMap(({ survivors }) => survivors),
    ],
    orphans: [...left.orphans, ...strays.orphans, ...again.flatMap(({ orphans }) => orphans)],
    forgotten: left.forgotten + living.forgotten,
    durationMs: clock.monotonicMs() - beganMs,
  };
}

/**
 * Updates every live tree from one snapshot.
 *
 * A descendant that leaves the session and loses its environment is then known, even after its parent exits.
 */
async function showAll(trees: OwnProcesses['trees'], os: Os): Promise<void> {
  if (trees.length === 0) return;
  const table = await os.processes.snapshot();
  const rest = sliced(os.clock);
  for (const tree of trees) {
    tree.membersIn(table);
    await rest();
  }
}

/** The result for a state directory that must not be read. */
const NOTHING: Awaited<ReturnType<typeof tidyUp>> = {
  ...{ recovered: [], unproven: [], removed: [], ended: [], survivors: [], orphans: [] },
  ...{ forgotten: 0, living: { kept: [], forgotten: 0, unproven: [] } },
};

/** Cleans up the state directory. */
async function tidyUp(context: RecoveryContext) {
  const report = await recover(context);
  await removeDeadShares(context);
  const living = await findKept(context);
  const removed = [...(await removeStaleFiles(context)), ...removeOld(context)];
  return { ...report, living, removed };
}

/** Removes records that are too old to be of use. */
function removeOld(context: RecoveryContext): string[] {
  const { bootId } = context.self;
  const retention = observeClock({ ...context, bootId });
  // Removed daily files are not reported: they come and go.
  removeOldDays(context, retention);
  return removeOldRestarts(context, retention);
}

async function endAgain(live: OverdueProcess, dryRun: boolean) {
  const { id } = live.record;
  const reason = 'it survived its end';
  const members = await live.tree.liveMembers();
  const orphans = members.map(({ pid, command }) => ({ id, pid, command, reason }));
  if (dryRun) return { orphans, ended: [], survivors: [] };
  // A process that has exited since is seen dead by this.
  const { ended, survivors } = await live.end('reaped', { force: true }, reason);
  return { orphans, ended, survivors };
}

function describe(record: SupervisionRecord): KeptProcess {
  const { id, pid, command, kind, sessionId, cwd, startedAt, disowned } = record;
  const process = { id, pid, command, kind, sessionId, cwd, startedAt };
  return disowned ? { ...process, disowned } : process;
}
