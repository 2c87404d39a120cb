import { once } from 'node:events';
import { createSupervisor } from '../built.ts';
import { spawnBare, spawnExeca, temporaryFolder } from '../children.ts';
import { interleave, median, milliseconds, type Row, times } from '../row.ts';

const ROUNDS = 800;
const COMMAND = '/bin/cat';

/** From the call to the handle: the child runs, and ours is in the registry. Its own run is not counted. */
export const row: Row = {
  name: 'supervised spawn, call to handle',
  target: '≤ 1.15 × execa',
  async measure() {
    using folder = temporaryFolder();
    await using supervisor = createSupervisor({
      stateDir: folder.path,
      pool: { concurrency: 1, hardCap: 1000 },
    });
    const env = { ...process.env } as Record<string, string>;
    const { supervised, execa, bare } = await interleave(
      ROUNDS,
      {
        async supervised() {
          const beganMs = performance.now();
          const child = supervisor.spawn({ command: COMMAND, env });
          const tookMs = performance.now() - beganMs;
          child.stdin.end();
          child.stdout.resume();
          await child.exited;
          return tookMs;
        },
        async execa() {
          const beganMs = performance.now();
          const child = spawnExeca(COMMAND, [], env);
          const tookMs = performance.now() - beganMs;
          child.stdin?.end();
          child.stdout?.resume();
          child.stderr?.resume();
          await child;
          return tookMs;
        },
        async bare() {
          const beganMs = performance.now();
          const child = spawnBare(COMMAND, [], env);
          const tookMs = performance.now() - beganMs;
          child.stdin?.end();
          child.stdout?.resume();
          child.stderr?.resume();
          await once(child, 'close');
          return tookMs;
        },
      },
      { warmUp: 100 },
    );
    const ratio = median(supervised) / median(execa);
    return {
      figures: [
        { who: 'supervised', value: milliseconds(median(supervised)) },
        { who: 'execa', value: milliseconds(median(execa)) },
        { who: 'child_process.spawn', value: milliseconds(median(bare)) },
      ],
      ratio: `${times(ratio)} execa`,
      ok: ratio <= 1.15,
    };
  },
};
