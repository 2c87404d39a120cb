import { once } from 'node:events';
import { connect } from 'node:net';
import { createSupervisor, defineService } from '../built.ts';
import { freePort, spawnBare, temporaryFolder } from '../children.ts';
import { interleave, median, milliseconds, type Row } from '../row.ts';

const ROUNDS = 25;
const SAYS_READY = ['-c', 'echo ready; exec sleep 300'];

/** From the call to the ready process, by a line on stdout and by a port; the peer looks every millisecond. */
export const row: Row = {
  name: 'cold start of a service',
  target: '≤ 10 ms above bare spawn + readiness',
  async measure() {
    using folder = temporaryFolder();
    await using supervisor = createSupervisor({ stateDir: folder.path });
    await supervisor.start();
    const { ensured, bare, says, bareSays } = await interleave(
      ROUNDS,
      {
        async ensured() {
          const port = await freePort();
          return ensureMs(supervisor, process.execPath, listenAt(port), { port });
        },
        bare: async () => portMs(await freePort()),
        says: () => ensureMs(supervisor, '/bin/sh', SAYS_READY, { stdout: /ready/ }),
        bareSays: () => lineMs(),
      },
      { warmUp: 2 },
    );
    const above = [median(ensured) - median(bare), median(says) - median(bareSays)] as const;
    return {
      figures: [
        { who: 'service, port', value: milliseconds(median(ensured)) },
        { who: 'bare, port', value: milliseconds(median(bare)) },
        { who: 'service, stdout', value: milliseconds(median(says)) },
        { who: 'bare, stdout', value: milliseconds(median(bareSays)) },
      ],
      ratio: `+${milliseconds(above[0])} by port, +${milliseconds(above[1])} by stdout`,
      ok: Math.max(...above) <= 10,
    };
  },
};

const listenAt = (port: number): string[] => [
  '-e',
  `require('node:net').createServer().listen(${port}, '127.0.0.1'); setTimeout(() => process.exit(), 300_000)`,
];

let lastService = 0;

async function ensureMs(
  supervisor: ReturnType<typeof createSupervisor>,
  command: string,
  args: readonly string[],
  ready: { port: number } | { stdout: RegExp },
): Promise<number> {
  const service = defineService(supervisor, {
    name: `cold-${++lastService}`,
    command,
    args,
    ready,
  });
  const beganMs = performance.now();
  await service.ensure();
  const tookMs = performance.now() - beganMs;
  await service.close();
  return tookMs;
}

async function portMs(port: number): Promise<number> {
  const beganMs = performance.now();
  const child = spawnBare(process.execPath, listenAt(port));
  while (!(await isListenedOn(port))) await new Promise((resolve) => setTimeout(resolve, 1));
  const tookMs = performance.now() - beganMs;
  child.kill('SIGKILL');
  await once(child, 'exit');
  return tookMs;
}

async function lineMs(): Promise<number> {
  const beganMs = performance.now();
  const child = spawnBare('/bin/sh', SAYS_READY);
  await once(child.stdout as NodeJS.ReadableStream, 'data');
  const tookMs = performance.now() - beganMs;
  child.kill('SIGKILL');
  await once(child, 'exit');
  return tookMs;
}

function isListenedOn(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}
