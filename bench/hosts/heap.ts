// A host that starts live children one way, and prints how many bytes of heap each one costs it.
import { createSupervisor } from '../built.ts';
import { spawnBare, spawnExeca, temporaryFolder } from '../children.ts';

/** The first children pay for what is loaded and compiled once. */
const FIRST = 20;
const CHILDREN = 50;
const COMMAND = '/bin/cat';

interface Started {
  readonly pid?: number | undefined;
  readonly exited: Promise<unknown>;
}

using folder = temporaryFolder();
const supervisor = createSupervisor({
  stateDir: folder.path,
  pool: { concurrency: FIRST + CHILDREN },
});

const WAYS: Readonly<Record<string, () => Started>> = {
  supervised: () => supervisor.spawn({ command: COMMAND, env: { ...process.env } }),
  execa: () => {
    const child = spawnExeca(COMMAND, []);
    child.stderr?.on('data', () => undefined);
    return { pid: child.pid, exited: child };
  },
  bare: () => {
    const child = spawnBare(COMMAND, []);
    child.stderr?.on('data', () => undefined);
    return { pid: child.pid, exited: new Promise((resolve) => child.once('exit', resolve)) };
  },
};

const start = WAYS[process.argv[2] ?? ''];
if (start === undefined) throw new Error(`no such way: ${process.argv[2]}`);

const children: Started[] = [];
for (let child = 0; child < FIRST; child++) children.push(start());
const before = await settledHeap();
for (let child = 0; child < CHILDREN; child++) children.push(start());
console.log((await settledHeap()) - before);

for (const { pid } of children) process.kill(pid as number, 'SIGKILL');
await Promise.all(children.map(({ exited }) => exited));
await supervisor.stop();

/** What is left on the heap once everything that was put off has been done. */
async function settledHeap(): Promise<number> {
  for (let turn = 0; turn < 10; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    globalThis.gc?.();
  }
  return process.memoryUsage().heapUsed / CHILDREN;
}
