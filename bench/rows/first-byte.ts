import { once } from 'node:events';
import { createSupervisor } from '../built.ts';
import { spawnBare, temporaryFolder } from '../children.ts';
import { interleave, median, milliseconds, type Row } from '../row.ts';

const ROUNDS = 200;
const COMMAND = '/bin/echo';

/** From the call to what the child says first: what a tag costs is paid by the child, not by the call. */
export const row: Row = {
  name: 'supervised spawn, call to the first byte',
  target: '≤ bare + 1.5 ms',
  async measure() {
    using folder = temporaryFolder();
    await using supervisor = createSupervisor({ stateDir: folder.path });
    await using untagged = createSupervisor({ stateDir: folder.path, rlimitTag: false });
    await Promise.all([supervisor.start(), untagged.start()]);
    const supervisedMs = async (by: typeof supervisor): Promise<number> => {
      const beganMs = performance.now();
      const child = by.spawn({ command: COMMAND, args: ['hello'], slot: false });
      await once(child.stdout, 'data');
      const tookMs = performance.now() - beganMs;
      await child.exited;
      return tookMs;
    };
    const { tagged, cookie, bare } = await interleave(
      ROUNDS,
      {
        tagged: () => supervisedMs(supervisor),
        cookie: () => supervisedMs(untagged),
        async bare() {
          const beganMs = performance.now();
          const child = spawnBare(COMMAND, ['hello']);
          await once(child.stdout as NodeJS.ReadableStream, 'data');
          const tookMs = performance.now() - beganMs;
          await once(child, 'close');
          return tookMs;
        },
      },
      { warmUp: 20 },
    );
    const aboveMs = median(tagged) - median(bare);
    return {
      figures: [
        { who: 'supervised, tagged', value: milliseconds(median(tagged)) },
        { who: 'supervised, without a tag', value: milliseconds(median(cookie)) },
        { who: 'child_process.spawn', value: milliseconds(median(bare)) },
      ],
      ratio: `+${milliseconds(aboveMs)}`,
      ok: aboveMs <= 1.5,
    };
  },
};
