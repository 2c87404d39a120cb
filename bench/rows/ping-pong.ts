import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { createSupervisor } from '../built.ts';
import { spawnBare, temporaryFolder } from '../children.ts';
import { interleave, median, microseconds, type Row, times } from '../row.ts';

const ROUNDS = 3000;
const COMMAND = '/bin/cat';
const LINE = `${JSON.stringify({ type: 'control_request', request: { subtype: 'ping' } })}\n`;

interface Streams {
  readonly stdin: Writable;
  readonly stdout: Readable;
}

/** From a line that is written to the same line, read. */
export const row: Row = {
  name: 'a line to a child and back',
  target: '≤ 1.3 × bare',
  async measure() {
    using folder = temporaryFolder();
    await using supervisor = createSupervisor({ stateDir: folder.path });
    await supervisor.start();
    const env = { ...process.env } as Record<string, string>;
    const spawned = supervisor.spawn({ command: COMMAND, env, slot: false });
    const hooked = supervisor.spawnHook()({ command: COMMAND, args: [], env });
    const bare = spawnBare(COMMAND, [], env) as ReturnType<typeof spawnBare> & Streams;
    const samples = await interleave(
      ROUNDS,
      {
        spawned: () => roundTripMs(spawned),
        hooked: () => roundTripMs(hooked),
        bare: () => roundTripMs(bare),
      },
      { warmUp: 300 },
    );
    bare.stdin.end();
    const ratios = [samples.spawned, samples.hooked].map((of) => median(of) / median(samples.bare));
    return {
      figures: [
        { who: 'spawn', value: microseconds(median(samples.spawned)) },
        { who: 'hook', value: microseconds(median(samples.hooked)) },
        { who: 'child_process.spawn', value: microseconds(median(samples.bare)) },
      ],
      ratio: `spawn ${times(ratios[0] ?? 0)}, hook ${times(ratios[1] ?? 0)} bare`,
      ok: ratios.every((ratio) => ratio <= 1.3),
    };
  },
};

async function roundTripMs({ stdin, stdout }: Streams): Promise<number> {
  const beganMs = performance.now();
  stdin.write(LINE);
  await once(stdout, 'data');
  return performance.now() - beganMs;
}
