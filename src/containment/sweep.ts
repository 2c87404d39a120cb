import { sliced } from '../os/clock.ts';
import type { Os } from '../os/os.ts';
import type { KeptProcess, SweepReport } from '../reports.ts';
import { removeOldDays } from '../store/daily-log.ts';
import type { SupervisionRecord } from '../store/formats.ts';
import { removeStaleFiles } from '../store/pid-file.ts';
import { removeOldRestarts } from '../store/restart-log.ts';
import { observeClock } from '../store/retention.ts';
import type { Endable } from '../tree/termination.ts';
import type { ProcessTree } from '../tree/tracked-tree.ts';
import { findKept } from './kept.ts';
import { endStrays } from './orphans.ts';
import { type RecoveryContext, recover } from './recovery.ts';

/** A process that was to be ended and survived it. */
export interface Overdue extends Pick<Endable, 'end'> {
  readonly record: { readonly id: string };
  readonly tree: Pick<ProcessTree, 'look'>;
}

/** What a sweep is told of the living supervisor on whose behalf it looks. */
export interface OwnProcesses {
  /** The ids of the records that are still of use. */
  known(): readonly string[];
  readonly overdue: readonly Overdue[];
  /** The trees of what lives at this moment. */
  readonly trees: readonly Pick<ProcessTree, 'membersIn'>[];
  /** Nothing in the state directory is believed, and nothing in it touched. */
  readonly isFolderUnsafe?: boolean;
}

/**
 * Looks once at the state directory and the process table: ends what dead owners left, what survived
 * its end, and what carries our own cookie without belonging to anything that we know.
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
 * Shows one look to every live tree: whoever leaves a session and loses its environment is known from
 * now on, when its parent dies, too.
 */
async function showAll(trees: OwnProcesses['trees'], os: Os): Promise<void> {
  if (trees.length === 0) return;
  const table = await os.processes.look();
  const rest = sliced(os.clock);
  for (const tree of trees) {
    tree.membersIn(table);
    await rest();
  }
}

/** What a folder that nobody may look into tells. */
const NOTHING: Awaited<ReturnType<typeof tidyUp>> = {
  ...{ recovered: [], unproven: [], removed: [], ended: [], survivors: [], orphans: [] },
  ...{ forgotten: 0, living: { kept: [], forgotten: 0, unproven: [] } },
};

/** Looks at the state directory. */
async function tidyUp(context: RecoveryContext) {
  const report = await recover(context);
  const living = await findKept(context);
  const removed = [...(await removeStaleFiles(context)), ...removeOld(context)];
  return { ...report, living, removed };
}

/** What is too old to be of use to anybody. */
function removeOld(context: RecoveryContext): string[] {
  const { bootId } = context.self;
  const retention = observeClock({ ...context, bootId });
  // Of days nobody is told: they come and go.
  removeOldDays(context, retention);
  return removeOldRestarts(context, retention);
}

async function endAgain(live: Overdue, dryRun: boolean) {
  const { id } = live.record;
  const reason = 'it survived its end';
  const members = await live.tree.look();
  const orphans = members.map(({ pid, command }) => ({ id, pid, command, reason }));
  if (dryRun) return { orphans, ended: [], survivors: [] };
  // One that has died since is seen dead by this.
  const { ended, survivors } = await live.end('reaped', { force: true }, reason);
  return { orphans, ended, survivors };
}

function describe(record: SupervisionRecord): KeptProcess {
  const { id, pid, command, kind, sessionId, cwd, startedAt } = record;
  return { id, pid, command, kind, sessionId, cwd, startedAt };
}
