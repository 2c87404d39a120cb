import type { BareProcess, ProcessEntry, ProcessTable } from '../os/os.ts';
import { isSameProcess } from './identity.ts';
import { mayBeGivenOut } from './number-reuse.ts';
import { lineage } from './tree.ts';

/** Every number that can have led to one of these: their own, their groups' and their sessions'. */
function numbersOf(members: readonly ProcessEntry[]): ReadonlySet<number> {
  return new Set(members.flatMap(({ pid, pgid, sid }) => [pid, pgid, sid]));
}

/** Whether no number that led to a member can have changed hands while the look was taken. */
export function isSettled({ supply }: ProcessTable, members: readonly ProcessEntry[]): boolean {
  if (supply === undefined) return members.length === 0;
  const { before, after } = supply;
  return ![...numbersOf(members)].some((number) => mayBeGivenOut(number, before, after));
}

/**
 * A small table of a tree's members and the leaders of their groups and sessions, each read again in
 * one go, and of the host with its ancestors.
 *
 * A look takes time: a parent or a leader that it has shown may have died before its alleged child was
 * read, and a stranger may have had its number by then. What is found in this table as well was there
 * all the time.
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
