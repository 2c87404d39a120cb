import { once } from 'node:events';
import { createSupervisor } from '../built.ts';
import { spawnBare, temporaryFolder } from '../children.ts';
import { interleave, median, milliseconds, type Row, times } from '../row.ts';

const ROUNDS = 200;
const COMMAND = '/bin/echo';

/** Any value: what it costs to set a limit. */
const PRLIMIT = ['--locks=1000:1000', '--', COMMAND];

/**
 * From the call to the child's first byte: the child pays for a tag, not the call. prlimit is one execve(2)
 * more, which takes from 0.4 to 4 ms, as long as the start of any program on that machine.
 */
export const row: Row = {
  name: 'supervised spawn, call to the first byte',
  target: '≤ 1.2 × prlimit by child_process',
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
    const bareMs = async (command: string, args: readonly string[]): Promise<number> => {
      const beganMs = performance.now();
      const child = spawnBare(command, args);
      await once(child.stdout as NodeJS.ReadableStream, 'data');
      const tookMs = performance.now() - beganMs;
      await once(child, 'close');
      return tookMs;
    };
    const { tagged, cookie, limited, bare } = await interleave(
      ROUNDS,
      {
        tagged: () => supervisedMs(supervisor),
        cookie: () => supervisedMs(untagged),
        limited: () => bareMs('prlimit', [...PRLIMIT, 'hello']),
        bare: () => bareMs(COMMAND, ['hello']),
      },
      { warmUp: 20 },
    );
    const ratio = median(tagged) / median(limited);
    return {
      figures: [
        { who: 'supervised, tagged', value: milliseconds(median(tagged)) },
        { who: 'supervised, without a tag', value: milliseconds(median(cookie)) },
        { who: 'child_process.spawn, prlimit', value: milliseconds(median(limited)) },
        { who: 'child_process.spawn', value: milliseconds(median(bare)) },
      ],
      ratio: times(ratio),
      ok: ratio <= 1.2,
    };
  },
};
