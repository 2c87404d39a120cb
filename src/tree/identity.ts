import type { BareProcess } from '../os/os.ts';

/**
 * Tells a process from every other. The start time excludes later processes with the same pid, the
 * boot id those before a reboot. The PID namespace excludes processes of other containers that
 * share the folder.
 */
export interface Identity {
  readonly pid: number;
  /** `undefined` until the system has told it; an identity without it proves nothing. */
  readonly startTime?: string | undefined;
  readonly bootId: string;
  readonly pidNamespace: string;
}

/** The format of a heartbeat's name in its owner's files. */
export const HEARTBEAT_ID = /^[\da-f]{12}$/;

/** A supervisor's identity: that of its host, and which of the host's supervisors it is. */
export interface Owner extends Identity {
  readonly machine: string;
  /**
   * Names the file and the socket that show other hosts whether the owner lives. Absent in records
   * of older versions.
   */
  readonly heartbeat?: string | undefined;
  /** Random, so that worker threads and copies of the package are different owners. */
  readonly instance: string;
}

/**
 * The state of another supervisor. Processes may be signalled only if their owner is dead in this
 * boot. An owner that was given up may live on where this host cannot see it.
 */
export type OwnerVerdict = 'alive' | 'dead' | 'rebooted' | 'given-up' | 'elsewhere' | 'unproven';

/** True if an owner's records no longer hold. */
export function isOver(verdict: OwnerVerdict): boolean {
  return verdict === 'dead' || verdict === 'rebooted' || verdict === 'given-up';
}

/** Judges a journal's owner by its process; `read` reads a pid in this PID namespace. */
export function judgeOwner(
  owner: Owner,
  self: Omit<Owner, 'instance'>,
  read: (pid: number) => Pick<BareProcess, 'pid' | 'startTime' | 'alive'> | undefined,
): OwnerVerdict {
  const isNamesake = owner.machine === self.machine;
  // A boot id is empty until it has been looked up, and then proves no difference.
  if (!owner.bootId || !self.bootId) {
    if (!isNamesake) return 'elsewhere';
    if (owner.bootId !== self.bootId) return 'unproven';
  } else if (owner.bootId !== self.bootId) {
    // Two machines may have the same name. Versions without a heartbeat could compare only names.
    return isNamesake && owner.heartbeat === undefined ? 'rebooted' : 'elsewhere';
  }
  if (owner.pidNamespace !== self.pidNamespace) return 'elsewhere';
  if (owner.startTime === undefined) return 'unproven';
  const now = read(owner.pid);
  // A process forged a second row for this pid (parsePs), so the owner may be alive.
  if (now?.startTime === '') return 'unproven';
  return now?.alive && isSameProcess(owner, now) ? 'alive' : 'dead';
}

/** True if `now`, read from the process table, is the process that was recorded. */
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
