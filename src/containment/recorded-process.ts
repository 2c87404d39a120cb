// Processes that a pid file or a lock names: is one of them alive?
import type { Os, SelfIdentity } from '../os/os.ts';
import { isAnothersProcess, isProcessAlive } from '../os/system.ts';
import type { RecordedIdentity } from '../store/pid-record.ts';
import { judgeOwner, type OwnerVerdict } from '../tree/identity.ts';
import { detectorOf } from './file-heartbeats.ts';
import { type Judgement, judgeBy, readerOf } from './judge.ts';

/** Judges a process that a file names. The verdict is `dead` only if that is proven. */
export async function judgeRecorded(
  file: RecordedIdentity,
  os: Os,
  folder?: string,
): Promise<OwnerVerdict> {
  return (await judgeFile(file, os, folder)).verdict;
}

/** Judges like {@link judgeRecorded}, and also by the heartbeats in the file's folder. */
export async function judgeFile(
  file: RecordedIdentity,
  os: Os,
  folder: string | undefined,
): Promise<Judgement> {
  const self = await ownIdentity(os);
  const read = await readerOf(os);
  const detector = folder === undefined ? undefined : detectorOf(os, folder);
  const judgement = await judgeBy(file, { self, detector }, read);
  if (!isOfThisNamespace(file, self)) return judgement;
  const verdict = verdictHere(judgement.verdict, file.pid, read);
  return verdict === judgement.verdict ? judgement : { verdict };
}

/**
 * Judges a process in this tick, without heartbeats. Where no single process can be read, only a pid that
 * no process has proves it dead.
 */
export function judgeInThisTick(file: RecordedIdentity, os: Os): OwnerVerdict {
  const self = os.identify();
  const { read } = os.processes;
  if (read === undefined)
    return isOfThisNamespace(file, self) && !isProcessAlive(file.pid) ? 'dead' : 'unproven';
  try {
    const verdict = judgeOwner({ ...file, instance: '' }, self, read);
    return isOfThisNamespace(file, self) ? verdictHere(verdict, file.pid, read) : verdict;
  } catch {
    return 'unproven';
  }
}

type Read = NonNullable<Os['processes']['read']>;

/** Corrects a verdict on a process of this PID namespace by who has its pid now. */
function verdictHere(verdict: OwnerVerdict, pid: number, read: Read): OwnerVerdict {
  try {
    // A process that is hidden from us is not gone.
    if (verdict === 'dead' && read(pid) === undefined && isAnothersProcess(pid)) return 'unproven';
    // No process has this pid any more, so the recorded one is dead.
    return verdict === 'unproven' && read(pid) === undefined ? 'dead' : verdict;
  } catch {
    // Without a free file descriptor to look with, no process is proven dead.
    return 'unproven';
  }
}

/** Tells if a recorded pid means anything here: it is of this boot or machine, and of this PID namespace. */
export function isOfThisNamespace(file: RecordedIdentity, self: SelfIdentity): boolean {
  if (file.pidNamespace !== self.pidNamespace) return false;
  const isThisBoot = file.bootId !== '' && file.bootId === self.bootId;
  return isThisBoot || file.machine === self.machine;
}

/** Returns the identity of this process, asynchronously on systems where it takes a query. */
export function ownIdentity(os: Os): SelfIdentity | Promise<SelfIdentity> {
  return os.identifyAsync?.() ?? os.identify();
}
