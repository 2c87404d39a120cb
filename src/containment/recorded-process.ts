// Processes that a pid file or a lock names: is one of them alive?
import type { Os, SelfIdentity } from '../os/os.ts';
import { isAnothersProcess } from '../os/system.ts';
import type { RecordedIdentity } from '../store/pid-record.ts';
import type { OwnerVerdict } from '../tree/identity.ts';
import { detectorOf } from './file-heartbeats.ts';
import { type Judgement, judgeBy, readerOf } from './judge.ts';

/** Judges a process that a file names; dead only if that is proven. */
export async function judgeRecorded(
  file: RecordedIdentity,
  os: Os,
  folder?: string,
): Promise<OwnerVerdict> {
  return (await judgeFile(file, os, folder)).verdict;
}

/** Judges as {@link judgeRecorded}, and by the heartbeats in the file's folder. */
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
  const { verdict } = judgement;
  try {
    // Hidden is not gone.
    if (verdict === 'dead' && read(file.pid) === undefined && isAnothersProcess(file.pid))
      return { verdict: 'unproven' };
    // Whatever it was, nobody has its number.
    if (verdict === 'unproven' && read(file.pid) === undefined) return { verdict: 'dead' };
    return judgement;
  } catch {
    // Without a file descriptor to look with, nobody is dead.
    return { verdict: 'unproven' };
  }
}

/** Tells whether a recorded process's number means anything here. */
export function isOfThisNamespace(file: RecordedIdentity, self: SelfIdentity): boolean {
  if (file.pidNamespace !== self.pidNamespace) return false;
  const isThisBoot = file.bootId !== '' && file.bootId === self.bootId;
  return isThisBoot || file.machine === self.machine;
}

/** The identity of this process; a promise where the system does not tell it at once. */
export function ownIdentity(os: Os): SelfIdentity | Promise<SelfIdentity> {
  return os.identifyAsync?.() ?? os.identify();
}
