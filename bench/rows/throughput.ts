import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createSupervisor } from '../built.ts';
import { spawnBare, temporaryFolder } from '../children.ts';
import { interleave, median, type Row } from '../row.ts';

const ROUNDS = 15;
const FILE_BYTES = 32 * 1024 * 1024;
const FILES = 4;
const MB = 1e6;

/** A frame as the agent writes one, of so many bytes with its line break. */
function frameOf(bytes: number): string {
  const around = { type: 'assistant', message: { role: 'assistant', content: '' } };
  const rest = { parent_tool_use_id: null, session_id: '7dd2f498-3d0c-4f8c-9f0e-0d5a4c1c2b3a' };
  const empty = JSON.stringify({ ...around, ...rest });
  const content = 'x'.repeat(bytes - empty.length - 1);
  return `${JSON.stringify({ ...around, message: { role: 'assistant', content }, ...rest })}\n`;
}

function throughput(what: string, bytesOfPart: number, part: string): Row {
  return {
    name: `throughput of stdout, ${what}`,
    target: 'spawn ≥ 0.95, hook ≥ 0.8 × bare',
    async measure() {
      using folder = temporaryFolder();
      const file = join(folder.path, 'output');
      writeFileSync(file, part.repeat(Math.ceil(FILE_BYTES / bytesOfPart)));
      const args = Array.from({ length: FILES }, () => file);
      const options = { stateDir: join(folder.path, 'state'), conversation: {} };
      await using supervisor = createSupervisor(options);
      await supervisor.start();
      const hook = supervisor.spawnHook();
      const command = '/bin/cat';
      const env = { ...process.env } as Record<string, string>;
      const { spawned, hooked, bare } = await interleave(
        ROUNDS,
        {
          spawned: async () => {
            const child = supervisor.spawn({ command, args, env, slot: false });
            const speed = await speedOf(child.stdout);
            await child.exited;
            return speed;
          },
          hooked: async () => {
            const child = hook({ command, args, env });
            const speed = await speedOf(child.stdout);
            await child.exited;
            return speed;
          },
          bare: async () => {
            const child = spawnBare(command, args, env);
            const closed = new Promise((resolve) => child.once('close', resolve));
            const speed = await speedOf(child.stdout as NodeJS.ReadableStream);
            child.stderr?.resume();
            await closed;
            return speed;
          },
        },
        { warmUp: 3 },
      );
      const [ofSpawn, ofHook] = [spawned, hooked].map((of) => median(of) / median(bare)) as [
        number,
        number,
      ];
      return {
        figures: [
          { who: 'spawn', value: megabytes(median(spawned)) },
          { who: 'hook', value: megabytes(median(hooked)) },
          { who: 'child_process.spawn', value: megabytes(median(bare)) },
        ],
        ratio: `spawn ${ofSpawn.toFixed(2)}, hook ${ofHook.toFixed(2)} × bare`,
        ok: ofSpawn >= 0.95 && ofHook >= 0.8,
      };
    },
  };
}

export const chunks = throughput('64 KB chunks', 65_536, '\0'.repeat(65_536));
export const frames = throughput('frames of 300 B', 300, frameOf(300));
export const largeFrames = throughput('frames of 5 MB', 5_000_000, frameOf(5_000_000));

/** MB/s from the first byte to the end. */
async function speedOf(stdout: NodeJS.ReadableStream): Promise<number> {
  let beganMs: number | undefined;
  let bytes = 0;
  await new Promise((resolve) =>
    stdout
      .on('data', (chunk: Uint8Array) => {
        beganMs ??= performance.now();
        bytes += chunk.length;
      })
      .once('end', resolve),
  );
  return bytes / MB / ((performance.now() - (beganMs ?? Number.NaN)) / 1000);
}

function megabytes(perSecond: number): string {
  return `${perSecond.toFixed(0)} MB/s`;
}
