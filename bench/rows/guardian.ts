import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { guardByShell } from '../../src/os/guard.ts';
import { createSupervisor } from '../built.ts';
import { spawnGuardian, temporaryFolder } from '../children.ts';
import { interleave, median, milliseconds, type Row } from '../row.ts';

const ROUNDS = 25;
const REQUEST = { owner: 'GuardianOfTheBench', politeMs: 0, forcedMs: 0 };
/** By then it has said that it is ready, and waits. */
const SETTLE_MS = 200;
const WATCH_MS = 5000;
const MAX_KB = 4096;

/** What it costs to be guarded: once at the start, and for as long as the host lives. */
export const row: Row = {
  name: 'guardian: start and memory',
  target: '≤ 4 MB, no CPU while it waits',
  async measure() {
    // The guardian keeps no process alive, not even the one that waits for it.
    const alive = setInterval(() => undefined, WATCH_MS);
    const { ready, guarded, unguarded } = await interleave(
      ROUNDS,
      { ready: readyMs, guarded: () => startMs(true), unguarded: () => startMs(false) },
      { warmUp: 2 },
    );
    const guard = guardByShell(REQUEST);
    const bare = spawnGuardian('read x');
    await guard.ready;
    const [ours, peer] = await Promise.all([costOf(guard.pid), costOf(bare.pid)]);
    guard.write('disarm');
    await hungUp(bare);
    clearInterval(alive);
    return {
      figures: [
        { who: 'call to ready', value: milliseconds(median(ready)) },
        { who: 'start() with it', value: milliseconds(median(guarded)) },
        { who: 'start() without', value: milliseconds(median(unguarded)) },
        { who: 'it waits', value: describe(ours) },
        { who: "sh -c 'read x'", value: describe(peer) },
      ],
      ratio: `+ ${ours.pssKb - peer.pssKb} kB PSS, + ${ours.rssKb - peer.rssKb} kB RSS`,
      ok: Math.max(ours.pssKb, ours.rssKb) <= MAX_KB && ours.ticks === 0,
    };
  },
};

async function readyMs(): Promise<number> {
  const beganMs = performance.now();
  const guard = guardByShell(REQUEST);
  await guard.ready;
  const tookMs = performance.now() - beganMs;
  const exited = new Promise<void>((resolve) => guard.onExit(resolve));
  guard.write('disarm');
  await exited;
  return tookMs;
}

async function startMs(guardian: boolean): Promise<number> {
  using folder = temporaryFolder();
  await using supervisor = createSupervisor({ stateDir: folder.path, guardian });
  const beganMs = performance.now();
  await supervisor.start();
  return performance.now() - beganMs;
}

interface Cost {
  readonly pssKb: number;
  readonly rssKb: number;
  /** CPU time while it was watched. */
  readonly ticks: number;
}

async function costOf(pid: number | undefined): Promise<Cost> {
  await delay(SETTLE_MS);
  const before = ticksOf(pid);
  await delay(WATCH_MS);
  const memory = readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1');
  const kilobytes = (name: string) =>
    Number(new RegExp(`^${name}: +(\\d+) kB$`, 'm').exec(memory)?.[1]);
  return { pssKb: kilobytes('Pss'), rssKb: kilobytes('Rss'), ticks: ticksOf(pid) - before };
}

/** User and system time, in clock ticks. */
function ticksOf(pid: number | undefined): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

function describe({ pssKb, rssKb, ticks }: Cost): string {
  return `PSS ${pssKb} kB, RSS ${rssKb} kB, ${ticks} ticks in ${WATCH_MS / 1000} s`;
}

async function hungUp(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit');
  child.stdin?.end();
  await exited;
}
