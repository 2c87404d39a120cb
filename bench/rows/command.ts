import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { COMMAND } from '../built.ts';
import { temporaryFolder } from '../children.ts';
import { interleave, type Measurement, median, milliseconds, type Row, times } from '../row.ts';

const ROUNDS = 25;

const execute = promisify(execFile);

export const version = rowOf('--version', ['--version'], 60);
export const ps = rowOf('ps of nothing', ['ps'], 60);
export const run = rowOf('run -- true', ['run', '--', 'true'], 80);

/** The command as a whole process, beside a node that runs nothing. */
function rowOf(what: string, args: readonly string[], maxMoreMs: number): Row {
  return {
    name: `agent-supervisor ${what}, whole process`,
    target: `≤ bare node + ${maxMoreMs} ms`,
    async measure(): Promise<Measurement> {
      using folder = temporaryFolder();
      const { bare, command } = await interleave(
        ROUNDS,
        {
          bare: () => processMs(['--input-type=module', '-e', ''], folder.path),
          command: () => processMs([COMMAND, ...args], folder.path),
        },
        { warmUp: 2 },
      );
      const moreMs = median(command) - median(bare);
      return {
        figures: [
          { who: what, value: milliseconds(median(command)) },
          { who: 'bare node', value: milliseconds(median(bare)) },
        ],
        ratio: `+ ${milliseconds(moreMs)}, ${times(median(command) / median(bare))}`,
        ok: moreMs <= maxMoreMs,
      };
    },
  };
}

/** From its start to its end, without a compile cache. */
async function processMs(args: readonly string[], stateDir: string): Promise<number> {
  const { NODE_COMPILE_CACHE: _, ...inherited } = process.env;
  const env = { ...inherited, AGENT_SUPERVISOR_STATE_DIR: stateDir };
  const beganMs = performance.now();
  await execute(process.execPath, args, { env });
  return performance.now() - beganMs;
}
