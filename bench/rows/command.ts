import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { COMMAND } from '../built.ts';
import { temporaryFolder } from '../children.ts';
import { interleave, median, milliseconds, type Row } from '../row.ts';

const ROUNDS = 25;
const MAX_MORE_MS = 60;

const run = promisify(execFile);

/** The command as a whole process, which says its version; and what one pays who asks it for more. */
export const row: Row = {
  name: 'agent-supervisor --version, whole process',
  target: `≤ bare node + ${MAX_MORE_MS} ms`,
  async measure() {
    using folder = temporaryFolder();
    const command = (...args: string[]) => processMs([COMMAND, ...args]);
    const { bare, version, help, ps } = await interleave(
      ROUNDS,
      {
        bare: () => processMs(['--input-type=module', '-e', '']),
        version: () => command('--version'),
        help: () => command('--help'),
        ps: () => command('ps', '--state-dir', folder.path),
      },
      { warmUp: 2 },
    );
    const moreMs = median(version) - median(bare);
    return {
      figures: [
        { who: '--version', value: milliseconds(median(version)) },
        { who: '--help', value: milliseconds(median(help)) },
        { who: 'ps of nothing', value: milliseconds(median(ps)) },
        { who: 'bare node', value: milliseconds(median(bare)) },
      ],
      ratio: `+ ${milliseconds(moreMs)}`,
      ok: moreMs <= MAX_MORE_MS,
    };
  },
};

/** From its start to its end, without a compile cache. */
async function processMs(args: readonly string[]): Promise<number> {
  const { NODE_COMPILE_CACHE: _, ...env } = process.env;
  const beganMs = performance.now();
  await run(process.execPath, args, { env });
  return performance.now() - beganMs;
}
