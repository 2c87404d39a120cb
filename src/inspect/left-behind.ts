import type { OwnerHealth, ProcessHealth } from './report.ts';

/** Which dead hosts nobody has cleaned up after, and how many processes of theirs `ps` shows as alive. */
export function leftByTheDead(
  owners: readonly OwnerHealth[],
  processes: readonly ProcessHealth[],
): { readonly names: readonly string[]; readonly alive: number } {
  const found = owners
    .filter(({ verdict }) => verdict === 'dead')
    .map(({ instance }) => ({ instance, all: processes.filter(({ owner }) => owner === instance) }))
    .map(({ instance, all }) => {
      // What is meant to outlive its host is no orphan.
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

/** How many of a tree are alive, its root among them or not. */
function livingOf({ identity, descendants }: ProcessHealth): number {
  return descendants.length + (identity === 'alive' ? 1 : 0);
}
