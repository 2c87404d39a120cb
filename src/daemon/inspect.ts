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

/** The state of a pid file. */
export type PidFileState = 'missing' | 'alive' | 'stale' | 'invalid';

/** The state of a pid file, with its content. */
export type PidFileView =
  | { readonly state: 'missing' }
  /**
   * `doubt` says why the process could be proven neither dead nor alive. `aliveAtMs` is the time of its
   * last heartbeat from another machine or namespace, on the monotonic clock.
   */
  | {
      readonly state: 'alive';
      readonly file: PidFile;
      readonly doubt?: string;
      readonly aliveAtMs?: number | undefined;
    }
  | { readonly state: 'stale'; readonly file: PidFile }
  | { readonly state: 'invalid'; readonly reason: string };

/** Time for another process to finish a half-written file, where files cannot be created whole. */
const TORN_MS = 50;

/** Reads a pid file and judges the process that it names. A corrupt file is moved aside. */
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

/** Judges a process that a file names. The verdict is `dead` only if that is proven. */
export async function judgeRecorded(
  file: RecordedIdentity,
  os: Os,
  folder?: string,
): Promise<OwnerVerdict> {
  return (await judgeFile(file, os, folder)).verdict;
}

/** Judges like {@link judgeRecorded}, and also by the heartbeats in the file's folder. */
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
    // A process that is hidden from us is not gone.
    if (verdict === 'dead' && read(file.pid) === undefined && isAnothersProcess(file.pid))
      return { verdict: 'unproven' };
    // No process has this pid any more, so the recorded one is dead.
    if (verdict === 'unproven' && read(file.pid) === undefined) return { verdict: 'dead' };
    return judgement;
  } catch {
    // Without a free file descriptor to look with, no process is proven dead.
    return { verdict: 'unproven' };
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

function isSameFile(a: Stats, b: Stats): boolean {
  return a.ino === b.ino && a.dev === b.dev && a.mtimeMs === b.mtimeMs && a.size === b.size;
}

/** Renames a corrupt pid file, so that the user can still read it. */
function moveAside(path: string, stat: Stats): void {
  const aside = asidePath(path, crypto.randomUUID());
  if (takeIf(path, aside, (each) => isSameFile(lstatSync(each), stat)))
    renameSync(aside, corruptPath(path));
}
