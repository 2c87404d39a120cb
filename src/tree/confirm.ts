import type { BareProcess, ProcessEntry, ProcessTable } from '../os/os.ts';
import { isSameProcess } from './identity.ts';
import { mayBeReused } from './number-reuse.ts';
import { lineage } from './tree.ts';

/** The pids, groups and sessions of these processes. */
function numbersOf(members: readonly ProcessEntry[]): ReadonlySet<number> {
  return new Set(members.flatMap(({ pid, pgid, sid }) => [pid, pgid, sid]));
}

/** True if no number that led to a member can have been reused while the snapshot was taken. */
export function isSettled({ supply }: ProcessTable, members: readonly ProcessEntry[]): boolean {
  if (supply === undefined) return members.length === 0;
  const { before, after } = supply;
  return ![...numbersOf(members)].some((number) => mayBeReused(number, before, after));
}

/**
 * Reads a tree's members and the leaders of their groups and sessions again, in one go. The result
 * also has the entries of the host and its ancestors.
 *
 * A snapshot takes time. A parent or a leader in it may have died before its alleged child was
 * read, and a stranger may have got its pid by then. A process that is found in this table as well
 * was a member all the time.
 */
export function readAgain(
  table: ProcessTable,
  members: readonly ProcessEntry[],
  { hostPid, rootPid }: { readonly hostPid: number; readonly rootPid: number },
  read: (pid: number) => BareProcess | undefined,
): ProcessTable {
  const now = new Map<number, ProcessEntry>();
  for (const number of new Set([...numbersOf(members), rootPid])) {
    const [entry, before] = [read(number), table.get(number)];
    if (entry === undefined) continue;
    const isSame = before !== undefined && isSameProcess(before, entry);
    now.set(number, isSame ? { ...before, ...entry } : { ...entry, cookie: undefined });
  }
  for (const number of lineage(table, hostPid)) {
    const entry = table.get(number);
    if (entry !== undefined) now.set(number, entry);
  }
  return now;
}
