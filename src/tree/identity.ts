import type { BareProcess } from '../os/os.ts';

/**
 * Tells a process from every other: from a later one with the same pid (start time), from one
 * before the last boot (boot id), and from one of another container that shares the folder
 * (PID namespace).
 */
export interface Identity {
  readonly pid: number;
  /** `undefined` until the system has told it; an identity without it proves nothing. */
  readonly startTime?: string | undefined;
  readonly bootId: string;
  readonly pidNamespace: string;
}

/** How a heartbeat is named in what its owner has written down. */
export const HEARTBEAT_ID = /^[\da-f]{12}$/;

/** A supervisor's identity: its host's, and which supervisor of that host it is. */
export interface Owner extends Identity {
  readonly machine: string;
  /** Its file and its socket show from elsewhere whether it lives; absent in what older versions wrote. */
  readonly heartbeat?: string | undefined;
  /** Random, so that worker threads and two copies of the package are different owners. */
  readonly instance: string;
}

/**
 * What is known of another supervisor: only of a dead one of this boot may anything be signalled. One
 * that was given up may live on where nobody here can see it.
 */
export type OwnerVerdict = 'alive' | 'dead' | 'rebooted' | 'given-up' | 'elsewhere' | 'unproven';

/** Whether nothing that an owner has written down holds any more. */
export function isOver(verdict: OwnerVerdict): boolean {
  return verdict === 'dead' || verdict === 'rebooted' || verdict === 'given-up';
}

/** Judges the owner of a journal by its process; `read` looks a pid up in this PID namespace. */
export function judgeOwner(
  owner: Owner,
  self: Omit<Owner, 'instance'>,
  read: (pid: number) => Pick<BareProcess, 'pid' | 'startTime' | 'alive'> | undefined,
): OwnerVerdict {
  const isNamesake = owner.machine === self.machine;
  // Until it has been looked up, a boot id is empty, and differs from nothing.
  if (!owner.bootId || !self.bootId) {
    if (!isNamesake) return 'elsewhere';
    if (owner.bootId !== self.bootId) return 'unproven';
  } else if (owner.bootId !== self.bootId) {
    // Two machines may have one name. Versions without a heartbeat had nothing else to go by.
    return isNamesake && owner.heartbeat === undefined ? 'rebooted' : 'elsewhere';
  }
  if (owner.pidNamespace !== self.pidNamespace) return 'elsewhere';
  if (owner.startTime === undefined) return 'unproven';
  const now = read(owner.pid);
  // Somebody forged a second row for its number (parsePs): it may well live.
  if (now?.startTime === '') return 'unproven';
  return now?.alive && isSameProcess(owner, now) ? 'alive' : 'dead';
}

/** Whether `now`, read from the process table, is the very process that was recorded. */
export function isSameProcess(
  recorded: Pick<Identity, 'pid' | 'startTime'>,
  now: Pick<BareProcess, 'pid' | 'startTime'> | undefined,
): boolean {
  return (
    now !== undefined &&
    recorded.startTime !== undefined &&
    now.pid === recorded.pid &&
    now.startTime === recorded.startTime
  );
}
