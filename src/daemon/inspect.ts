import { lstatSync, renameSync, type Stats } from 'node:fs';
import { dirname } from 'node:path';
import { type Judgement, judgeBy, readerOf } from '../containment/judge.ts';
import { sleep } from '../os/clock.ts';
import type { Os, SelfIdentity } from '../os/os.ts';
import { isAnothersProcess } from '../os/system.ts';
import { takeIf } from '../store/exclusive.ts';
import { asidePath, corruptPath } from '../store/layout.ts';
import { readPidFile } from '../store/pid-file.ts';
import type { PidFile, RecordedIdentity } from '../store/pid-record.ts';
import { isOver, type OwnerVerdict } from '../tree/identity.ts';
import { detectorOf } from './heartbeats.ts';

/** What a pid file is worth. */
export type PidFileState = 'missing' | 'alive' | 'stale' | 'invalid';

/** What stands at a pid file's path, and what it says of a process. */
export type PidFileView =
  | { readonly state: 'missing' }
  /**
   * `doubt`: why it could not be proven dead, although it is not proven alive either; `aliveAtMs`: when
   * it last gave a sign of life from elsewhere, on the monotonic clock.
   */
  | {
      readonly state: 'alive';
      readonly file: PidFile;
      readonly doubt?: string;
      readonly aliveAtMs?: number | undefined;
    }
  | { readonly state: 'stale'; readonly file: PidFile }
  | { readonly state: 'invalid'; readonly reason: string };

/** How long a file that makes no sense may take to become one, where files cannot be made at once. */
const TORN_MS = 50;

/** Looks at a pid file and at the process that it names; what makes no sense is moved aside. */
export async function inspectPidFile(path: string, os: Os): Promise<PidFileView> {
  let reading = readPidFile(path, os);
  if (reading.found === 'corrupt') {
    await sleep(TORN_MS, os.clock);
    const before = reading.stat;
    reading = readPidFile(path, os);
    if (reading.found === 'corrupt' && isSameFile(reading.stat, before)) moveAside(path, before);
  }
  if (reading.found === 'missing') return { state: 'missing' };
  if (reading.found !== 'file') return { state: 'invalid', reason: reading.reason };
  const { file } = reading;
  const { verdict, aliveAtMs } = await judgeFile(file, os, dirname(path));
  if (verdict === 'alive') return { state: 'alive', file };
  if (isOver(verdict)) return { state: 'stale', file };
  const doubt = verdict === 'unproven' ? DOUBTS.unproven : DOUBTS.elsewhere;
  return { state: 'alive', file, doubt, aliveAtMs };
}

const DOUBTS = {
  elsewhere: 'it is of another machine or PID namespace',
  unproven: 'who has its number now cannot be told apart from it',
} as const;

/** Judges a process that a file names; dead only if that is proven. */
export async function judgeRecorded(
  file: RecordedIdentity,
  os: Os,
  folder?: string,
): Promise<OwnerVerdict> {
  return (await judgeFile(file, os, folder)).verdict;
}

/** {@link judgeRecorded} by the heartbeats in the file's folder, too. */
async function judgeFile(
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

/** Whether a recorded process's number means anything here. */
export function isOfThisNamespace(file: RecordedIdentity, self: SelfIdentity): boolean {
  if (file.pidNamespace !== self.pidNamespace) return false;
  const isThisBoot = file.bootId !== '' && file.bootId === self.bootId;
  return isThisBoot || file.machine === self.machine;
}

/** Who we are, looked up where the system does not say it at once. */
export function ownIdentity(os: Os): SelfIdentity | Promise<SelfIdentity> {
  return os.identifyAsync?.() ?? os.identify();
}

function isSameFile(a: Stats, b: Stats): boolean {
  return a.ino === b.ino && a.dev === b.dev && a.mtimeMs === b.mtimeMs && a.size === b.size;
}

/** Keeps a file that is no pid file where somebody may look at it. */
function moveAside(path: string, stat: Stats): void {
  const aside = asidePath(path, crypto.randomUUID());
  if (takeIf(path, aside, (each) => isSameFile(lstatSync(each), stat)))
    renameSync(aside, corruptPath(path));
}
