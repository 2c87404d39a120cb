import { createHook } from 'node:async_hooks';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { systemClock } from '../../src/os/clock.ts';
import { linuxProcesses } from '../../src/os/linux.ts';
import { systemOs } from '../../src/os/system.ts';
import { endGroup, spawnIdle } from '../children.ts';
import { probeLoop } from '../loop.ts';
import { interleave, median, milliseconds, type Row, times } from '../row.ts';

/** Idle ones; with the machine's own there are about 1,000. */
const IDLE = 940;
const ROUNDS = 40;

const run = promisify(execFile);

/** One look, beside `ps` with the same columns. */
export const row: Row = {
  name: 'one look at the process table, 1,000 processes',
  target: '≤ 1.5 × without tags, block ≤ 20 ms, 0 children',
  async measure() {
    const { processes } = systemOs();
    const untagged = linuxProcesses(systemClock, { withTags: false });
    const idle = await spawnIdle(IDLE);
    const sizes: number[] = [];
    const blocksMs: number[] = [];
    let started = 0;
    try {
      const { look, without, ps } = await interleave(
        ROUNDS,
        {
          async look() {
            const children = countChildren();
            const probe = probeLoop();
            const beganMs = performance.now();
            const table = await processes.snapshot();
            const tookMs = performance.now() - beganMs;
            blocksMs.push(await probe.longestBlockMs());
            started += children.started();
            sizes.push(table.size);
            return tookMs;
          },
          async without() {
            const beganMs = performance.now();
            await untagged.snapshot();
            return performance.now() - beganMs;
          },
          async ps() {
            const beganMs = performance.now();
            await run('ps', ['axeww', '-o', 'pid=,ppid=,pgid=,sid=,stat=,lstart=,comm=,args='], {
              maxBuffer: 64 * 1024 * 1024,
            });
            return performance.now() - beganMs;
          },
        },
        { warmUp: 3 },
      );
      const ratio = median(look) / median(without);
      const worstMs = Math.max(...blocksMs.slice(-ROUNDS));
      return {
        figures: [
          { who: `look at ${median(sizes)}`, value: milliseconds(median(look)) },
          { who: 'the same without tags', value: milliseconds(median(without)) },
          { who: 'longest block of all', value: milliseconds(worstMs) },
          { who: 'children started', value: String(started) },
          { who: 'ps, one child each', value: milliseconds(median(ps)) },
        ],
        ratio: `${times(ratio)}, ${milliseconds(worstMs)}, ${started}`,
        ok: ratio <= 1.5 && worstMs <= 20 && started === 0,
      };
    } finally {
      await endGroup(idle);
    }
  },
};

/** Counts the child processes that anyone in this process starts, whoever asks for them. */
function countChildren(): { started(): number } {
  let count = 0;
  const hook = createHook({
    init(_id, type) {
      if (type === 'PROCESSWRAP') count++;
    },
  }).enable();
  return {
    started() {
      hook.disable();
      return count;
    },
  };
}
