// A host that runs short processes one way, several at once, and prints by how much it has grown.
import { once } from 'node:events';
import { createSupervisor } from '../built.ts';
import { spawnBare, spawnExeca, temporaryFolder } from '../children.ts';

/** The first processes pay for what is loaded and compiled once. */
const FIRST = 50;
const PROCESSES = Number(process.argv[3] ?? 3000);
const AT_ONCE = 8;
const COMMAND = '/bin/echo';
const ARGS = ['a word'];

using folder = temporaryFolder();
const supervisor = createSupervisor({ stateDir: folder.path, pool: { concurrency: AT_ONCE } });
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

await runMany(FIRST);
const before = await settled();
await runMany(PROCESSES);
// As it is in the midst of it: a collection would give memory back.
const { rss } = process.memoryUsage();
const { heapUsed } = await settled();
console.log(JSON.stringify({ rssBytes: rss - before.rss, heapBytes: heapUsed - before.heapUsed }));
await supervisor.stop();

async function runMany(count: number): Promise<void> {
  let started = 0;
  const runNext = async (): Promise<void> => {
    while (started++ < count) await runOne?.();
  };
  await Promise.all(Array.from({ length: AT_ONCE }, runNext));
}

/** What is in use once everything that was put off has been done. */
async function settled(): Promise<NodeJS.MemoryUsage> {
  for (let turn = 0; turn < 10; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    globalThis.gc?.();
  }
  return process.memoryUsage();
}
