// A host that runs short processes one way, one after the other, and prints by how much it has grown:
// in RSS since before the first, on the heap since the first few hundred.
import { once } from 'node:events';
import { createSupervisor } from '../built.ts';
import { spawnBare, spawnExeca, temporaryFolder } from '../children.ts';

const FIRST = 300;
const PROCESSES = 3000;
const COMMAND = '/bin/echo';
const ARGS = ['a word'];

using folder = temporaryFolder();
const supervisor = createSupervisor({ stateDir: folder.path });
const env = { ...process.env } as Record<string, string>;

const WAYS: Readonly<Record<string, () => Promise<unknown>>> = {
  supervised: () => supervisor.spawn({ command: COMMAND, args: ARGS, env }).exited,
  execa: () => spawnExeca(COMMAND, ARGS, env),
  async bare() {
    const child = spawnBare(COMMAND, ARGS, env);
    await once(child, 'close');
  },
};

const runOne = WAYS[process.argv[2] ?? ''];
if (runOne === undefined) throw new Error(`no such way: ${process.argv[2]}`);

const { rss: rssBefore } = process.memoryUsage();
let heapBefore = 0;
for (let n = 0; n < PROCESSES; n++) {
  if (n === FIRST) heapBefore = await settledHeap();
  await runOne();
}
const { rss } = process.memoryUsage();
const heapBytes = (await settledHeap()) - heapBefore;
console.log(JSON.stringify({ rssBytes: rss - rssBefore, heapBytes }));
await supervisor.stop();

/** What is left on the heap once everything that was put off has been done. */
async function settledHeap(): Promise<number> {
  for (let turn = 0; turn < 5; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    globalThis.gc?.();
  }
  return process.memoryUsage().heapUsed;
}
