import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { DAEMON_ENTRY } from '../built.ts';
import { temporaryFolder, untilDead } from '../children.ts';
import { interleave, median, milliseconds, type Row } from '../row.ts';

const ROUNDS = 25;
const DAEMON = fileURLToPath(new URL('../hosts/daemon.ts', import.meta.url));
const MAX_MORE_MS = 60;

const run = promisify(execFile);
const { ensureDaemon } = (await import(DAEMON_ENTRY)) as typeof import('../../src/daemon/index.ts');

/** A whole launcher that finds its daemon ready: what a hook costs at every keystroke. */
export const row: Row = {
  name: 'ensureDaemon on a live daemon, whole process',
  target: '≤ bare node + 60 ms',
  async measure() {
    using folder = temporaryFolder();
    const [port, socket] = [await freePort(), join(folder.path, 'bench.sock')];
    const options = {
      name: 'bench',
      command: process.execPath,
      args: [DAEMON, String(port), socket],
      pidFile: join(folder.path, 'bench.pid'),
    };
    const { pid } = await ensureDaemon({ ...options, ready: { socket } });
    const ensure = (ready: object) =>
      processMs(
        `import { ensureDaemon } from ${JSON.stringify(DAEMON_ENTRY)};
        const { started } = await ensureDaemon(${JSON.stringify({ ...options, ready })});
        if (started) process.exitCode = 1;`,
      );
    const samples = await interleave(
      ROUNDS,
      {
        bare: () => processMs(''),
        bySocket: () => ensure({ socket }),
        byPort: () => ensure({ port }),
        byHand: () =>
          processMs(`import { connect } from 'node:net';
          const socket = connect(${port}, '127.0.0.1', () => socket.destroy());`),
      },
      { warmUp: 2 },
    ).finally(async () => {
      process.kill(pid, 'SIGTERM');
      await untilDead([pid]);
    });
    const { bare, bySocket, byPort, byHand } = samples;
    const moreMs = Math.max(median(bySocket), median(byPort)) - median(bare);
    return {
      figures: [
        { who: 'ready by a socket', value: milliseconds(median(bySocket)) },
        { who: 'ready by a port', value: milliseconds(median(byPort)) },
        { who: 'a connect, and no proof', value: milliseconds(median(byHand)) },
        { who: 'bare node', value: milliseconds(median(bare)) },
      ],
      ratio: `+ ${milliseconds(moreMs)}`,
      ok: moreMs <= MAX_MORE_MS,
    };
  },
};

/** From its start to its end. */
async function processMs(code: string): Promise<number> {
  // No compile cache: nobody has set one up for a hook.
  const { NODE_COMPILE_CACHE: _, ...env } = process.env;
  const beganMs = performance.now();
  await run(process.execPath, ['--input-type=module', '-e', code], { env });
  return performance.now() - beganMs;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' ? (address?.port ?? 0) : 0;
}
