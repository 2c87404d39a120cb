// A host with many idle children, started one way; prints what they cost it as JSON.
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { createSupervisor } from '../built.ts';
import { spawnBare, spawnExeca, temporaryFolder } from '../children.ts';
import { median } from '../row.ts';

/** What a number of children costs their host. */
export interface Scale {
  readonly spawnsPerSecond: number;
  readonly heapBytesEach: number;
  /** With nothing to do but to watch them, and to sweep once. */
  readonly loopP99Ms: number;
  readonly sweepMs: number;
  readonly stopMs: number;
}

interface Started {
  readonly running: Promise<unknown>;
  readonly dead: Promise<unknown>;
  readonly pid: () => number;
}

/** The first ones pay for what is loaded and compiled once. */
const FIRST = 20;
const WATCHED_MS = 2000;
const SWEEPS = 5;
const [COMMAND, ARGS] = ['/bin/sleep', ['300']];

const [way = '', size] = process.argv.slice(2);
const count = Number(size);

using folder = temporaryFolder();
const supervisor = createSupervisor({
  stateDir: folder.path,
  pool: { concurrency: FIRST + count },
  ladder: { stdinEofMs: 0 },
});
await supervisor.start();

const WAYS: Readonly<Record<string, () => Started>> = {
  supervised() {
    const child = supervisor.spawn({ command: COMMAND, args: ARGS });
    return { running: child.started, dead: child.exited, pid: () => child.pid as number };
  },
  execa() {
    const child = spawnExeca(COMMAND, ARGS);
    return bare(child, Promise.resolve(child));
  },
  bare() {
    const child = spawnBare(COMMAND, ARGS);
    return bare(child, once(child, 'exit'));
  },
};

function bare(
  child: ChildProcess | ReturnType<typeof spawnExeca>,
  dead: Promise<unknown>,
): Started {
  child.stderr?.on('data', () => undefined);
  return { running: Promise.resolve(), dead, pid: () => child.pid as number };
}

const start = WAYS[way];
if (start === undefined) throw new Error(`no such way: ${way}`);

await Promise.all((await many(FIRST)).map(endGroup));
const before = await settledHeap();
const beganMs = performance.now();
const children = await many(count);
const spawnsPerSecond = (1000 * count) / (performance.now() - beganMs);
const heapBytesEach = ((await settledHeap()) - before) / count;

const loop = monitorEventLoopDelay({ resolution: 1 });
loop.enable();
const watched = delay(WATCHED_MS);
await supervisor.sweep();
await watched;
loop.disable();

const sweepsMs: number[] = [];
for (let sweep = 0; sweep < SWEEPS; sweep++) sweepsMs.push((await supervisor.sweep()).durationMs);

const stoppingMs = performance.now();
if (way === 'supervised') {
  const { ended, survivors } = await supervisor.stop();
  if (ended.length !== count || survivors.length > 0) throw new Error('not all of them ended');
} else {
  await Promise.all(children.map(endGroup));
}
const stopMs = performance.now() - stoppingMs;
await supervisor.stop();

const scale: Scale = {
  spawnsPerSecond,
  heapBytesEach,
  loopP99Ms: loop.percentile(99) / 1e6,
  sweepMs: median(sweepsMs),
  stopMs,
};
console.log(JSON.stringify(scale));

async function many(howMany: number): Promise<Started[]> {
  const started = Array.from({ length: howMany }, () => (start as () => Started)());
  await Promise.all(started.map(({ running }) => running));
  return started;
}

/** The least that ends a child and sees it dead. */
async function endGroup({ pid, dead }: Started): Promise<void> {
  process.kill(-pid(), 'SIGTERM');
  await dead;
}

/** What is left on the heap, and beside it, once everything that was put off has been done. */
async function settledHeap(): Promise<number> {
  for (let turn = 0; turn < 10; turn++) {
    await delay(20);
    globalThis.gc?.();
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
