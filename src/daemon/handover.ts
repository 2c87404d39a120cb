import { lstatSync, rmSync } from 'node:fs';
import { readerOf } from '../containment/judge.ts';
import { isOfThisNamespace, judgeRecorded, ownIdentity } from '../containment/recorded-process.ts';
import { sleep } from '../os/clock.ts';
import { COOKIE_VARIABLE, type Os, type ProcessEntry } from '../os/os.ts';
import { canConnect } from '../os/probe.ts';
import { PROBE_MS } from '../ready/readiness.ts';
import { statOwn } from '../store/files.ts';
import type { PidFile } from '../store/pid-record.ts';
import { marksInCookie } from '../tree/cookie.ts';
import { marksOf } from '../tree/marks.ts';
import { Termination } from '../tree/termination.ts';
import { ProcessTree } from '../tree/tracked-tree.ts';

/** How long a daemon may take to end by itself: what a supervisor's own ladder takes by default, and some. */
const POLITE_MS = 10_000;
/** What then is left of it gets this; after a SIGKILL only an overloaded machine takes more than some milliseconds. */
const LADDER = { stdinEofMs: 0, termMs: 2000, killMs: 5000 };
const POLL_MS = 20;

/** All that belongs to a daemon, found by its pid file. */
export function treeOfDaemon(
  os: Os,
  { pid, startTime, cookie = '' }: Pick<PidFile, 'pid' | 'startTime' | 'cookie'>,
  held = false,
): ProcessTree {
  const leadsGroup = os.platform !== 'win32';
  return new ProcessTree(os, { pid, startTime, leadsGroup, held, ...marksOf(cookie) });
}

/** Ends all that is left of a tree, and resolves to who survived it. */
export async function endDaemonTree(tree: ProcessTree, os: Os): Promise<readonly ProcessEntry[]> {
  const target = { running: () => false, endStdin: () => undefined, stdinEndedAtMs: undefined };
  const { survivors } = await new Termination(os, { ...target, tree }, LADDER, {}).done;
  return survivors;
}

/** Ends what a dead daemon has left, as far as its pid file proves whose it is; resolves to who survived. */
export async function endRemainsOf(file: PidFile, os: Os): Promise<readonly ProcessEntry[]> {
  const { cookie } = file;
  if (cookie === undefined) return [];
  // Elsewhere its number was another one's: only its mark proves anything.
  const isHere = isOfThisNamespace(file, await ownIdentity(os));
  const root = isHere ? file : { pid: 0, startTime: undefined, cookie };
  return endDaemonTree(treeOfDaemon(os, root), os);
}

/**
 * Ends a daemon: it is asked first, alone, so that it can end what it supervises; then all that is left
 * of it goes down the ladder. Resolves to who survived, when everyone else is seen dead.
 */
export async function endDaemon(file: PidFile, os: Os): Promise<readonly ProcessEntry[]> {
  const isThere = async () => (await judgeRecorded(file, os)) === 'alive';
  const tree = treeOfDaemon(os, file);
  // While it lives, so that what loses its parent later is known by then.
  await tree.liveMembers();
  const untilMs = os.clock.running.monotonicMs() + POLITE_MS;
  // Windows knows no polite signal, and a tree is found there while its root lives.
  if (os.endTree === undefined && (await isThere())) {
    os.signal(file.pid, 'SIGTERM');
    while (os.clock.running.monotonicMs() < untilMs && (await isThere()))
      await sleep(POLL_MS, os.clock.running);
  }
  return endDaemonTree(tree, os);
}

/** Whether this process is one that the daemon has started: it would not live to see the daemon's successor. */
export async function isInside({ pid, cookie }: PidFile, os: Os): Promise<boolean> {
  const claims = marksInCookie(os.environment()[COOKIE_VARIABLE]);
  if (cookie !== undefined && claims.includes(cookie)) return true;
  const read = await readerOf(os);
  const seen = new Set<number>();
  for (let at = os.identify().pid; at > 1 && !seen.has(at); at = read(at)?.ppid ?? 0) {
    if (at === pid) return true;
    seen.add(at);
  }
  return false;
}

/** Removes the socket that a dead daemon's pid file names, if it is one of ours and nobody is behind it. */
export async function removeStaleSocket(socket: string, os: Os): Promise<void> {
  try {
    if (!lstatSync(socket).isSocket() || (await canConnect({ socket }, PROBE_MS))) return;
    statOwn(socket, os);
    rmSync(socket, { force: true });
  } catch {
    // There is none, or none of ours.
  }
}
