import type { OwnerHealth, ProcessHealth } from './report.ts';

/** Finds dead hosts that are not cleaned up, and counts the live processes that they left. */
export function leftByDeadHosts(
  owners: readonly OwnerHealth[],
  processes: readonly ProcessHealth[],
): { readonly names: readonly string[]; readonly alive: number } {
  const found = owners
    .filter(({ verdict }) => verdict === 'dead')
    .map(({ instance }) => ({ instance, all: processes.filter(({ owner }) => owner === instance) }))
    .map(({ instance, all }) => {
      // A process that may outlive its host is no orphan.
      const orphans = all.filter(({ outlivesHost }) => !outlivesHost);
      return { instance, orphans, isClean: all.length > 0 && orphans.length === 0 };
    })
    .filter(({ isClean }) => !isClean);
  const trees = found.flatMap(({ orphans }) => orphans);
  return {
    names: found.map(({ instance }) => instance),
    alive: trees.reduce((sum, tree) => sum + livingOf(tree), 0),
  };
}

/** Counts the live processes of a tree, with its root if that is alive. */
function livingOf({ identity, descendants }: ProcessHealth): number {
  return descendants.length + (identity === 'alive' ? 1 : 0);
}
