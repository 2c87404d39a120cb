import { lstatSync, renameSync, type Stats } from 'node:fs';
import { dirname } from 'node:path';
import { judgeFile, judgeInThisTick } from '../containment/recorded-process.ts';
import { sleep } from '../os/clock.ts';
import type { Os } from '../os/os.ts';
import { takeIf } from '../store/exclusive.ts';
import { asidePath, corruptPath } from '../store/layout.ts';
import { readPidFile } from '../store/pid-file.ts';
import type { PidFile } from '../store/pid-record.ts';
import { isOver, type OwnerVerdict } from '../tree/identity.ts';
import type { PidFileContent } from './options.ts';

/** @internal The state of a pid file, with its content. */
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

/** @internal Reads a pid file and judges the process that it names. A corrupt file is moved aside. */
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
  return viewOf(file, verdict, aliveAtMs);
}

/** @internal Inspects in this tick: no heartbeat is heard, and a corrupt file stays. */
export function inspectInThisTick(path: string, os: Os): PidFileView {
  const reading = readPidFile(path, os);
  if (reading.found === 'missing') return { state: 'missing' };
  if (reading.found !== 'file') return { state: 'invalid', reason: reading.reason };
  return viewOf(reading.file, judgeInThisTick(reading.file, os));
}

function viewOf(file: PidFile, verdict: OwnerVerdict, aliveAtMs?: number): PidFileView {
  if (verdict === 'alive') return { state: 'alive', file };
  if (isOver(verdict)) return { state: 'stale', file };
  const doubt = verdict === 'unproven' ? DOUBTS.unproven : DOUBTS.elsewhere;
  return { state: 'alive', file, doubt, aliveAtMs };
}

/** @internal The content that a pid file shows to callers. */
export function publicContent({
  pid,
  name,
  daemonVersion: version,
  socket,
  fields,
}: PidFile): PidFileContent {
  return {
    pid,
    ...(name === undefined ? {} : { name }),
    ...(version === undefined ? {} : { version }),
    ...(socket === undefined ? {} : { socket }),
    ...(fields === undefined ? {} : { fields }),
  };
}

const DOUBTS = {
  elsewhere: 'it is of another machine or PID namespace',
  unproven: 'who has its number now cannot be told apart from it',
} as const;

function isSameFile(a: Stats, b: Stats): boolean {
  return a.ino === b.ino && a.dev === b.dev && a.mtimeMs === b.mtimeMs && a.size === b.size;
}

/** Renames a corrupt pid file, so that the user can still read it. */
function moveAside(path: string, stat: Stats): void {
  const aside = asidePath(path, crypto.randomUUID());
  if (takeIf(path, aside, (each) => isSameFile(lstatSync(each), stat)))
    renameSync(aside, corruptPath(path));
}
