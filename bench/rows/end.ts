import { once } from 'node:events';
import treeKill from 'tree-kill';
import { createSupervisor } from '../built.ts';
import { family, idleScript, spawnBare, temporaryFolder, untilDead } from '../children.ts';
import { interleave, median, milliseconds, type Row, times } from '../row.ts';

const CHILDREN = 40;
const ROUNDS = 15;

/** From the call to the death of all, as observed in the process table. */
export const row: Row = {
  name: 'ending a tree of 40 polite children',
  target: '≥ 8 × faster than tree-kill',
  async measure() {
    using folder = temporaryFolder();
    await using supervisor = createSupervisor({
      stateDir: folder.path,
      ladder: { stdinEofMs: 0 },
    });
    const { terminate, treeKilled } = await interleave(
      ROUNDS,
      {
        async terminate() {
          const root = supervisor.spawn({ command: '/bin/sh', args: ['-c', idleScript(CHILDREN)] });
          await once(root.stdout, 'data');
          const pids = complete(family(root.pid as number));
          const beganMs = performance.now();
          await root.terminate();
          const tookMs = performance.now() - beganMs;
          const lateMs = performance.now();
          await untilDead(pids);
          // Whoever it said was dead was dead; if not, the wait counts.
          return performance.now() - lateMs > 5 ? Number.POSITIVE_INFINITY : tookMs;
        },
        async treeKilled() {
          const root = spawnBare('/bin/sh', ['-c', idleScript(CHILDREN)]);
          await once(root.stdout as NodeJS.ReadableStream, 'data');
          const pids = complete(family(root.pid as number));
          const beganMs = performance.now();
          await new Promise((resolve) => treeKill(root.pid as number, 'SIGTERM', resolve));
          await untilDead(pids);
          return performance.now() - beganMs;
        },
      },
      { warmUp: 2 },
    );
    const ratio = median(treeKilled) / median(terminate);
    return {
      figures: [
        { who: 'terminate()', value: milliseconds(median(terminate)) },
        { who: 'tree-kill + waiting', value: milliseconds(median(treeKilled)) },
      ],
      ratio: `${times(ratio)} faster`,
      ok: ratio >= 8,
    };
  },
};

function complete(pids: readonly number[]): readonly number[] {
  if (pids.length !== CHILDREN + 1) throw new Error(`${pids.length} processes instead of 41`);
  return pids;
}
