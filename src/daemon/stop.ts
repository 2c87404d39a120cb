import { lstatSync } from 'node:fs';
import { resolve } from 'node:path';
import { holdLock } from '../containment/held-lock.ts';
import type { Os } from '../os/os.ts';
import { systemOs } from '../os/system.ts';
import { spawnLockPath } from '../store/layout.ts';
import type { PidFile } from '../store/pid-record.ts';
import { endDaemon, isInside, removeRemainsOf } from './handover.ts';
import { inspectPidFile, type PidFileView } from './inspect.ts';
import type { DaemonStopReport, StopDaemonOptions } from './options.ts';
import { removeIfUnchanged } from './own-pid-file.ts';
import { EndRefusals } from './refusals.ts';
import { checkLockOptions, checkPath } from './schema.ts';
import { endUnwritten } from './start.ts';

/** Ends a daemon with its whole process tree, and removes its pid file. */
export async function stopDaemon(
  pidFile: string,
  options?: StopDaemonOptions,
): Promise<DaemonStopReport> {
  const os = systemOs();
  const path = resolve(checkPath(pidFile, 'stopDaemon'));
  const limits = checkLockOptions(options, 'stopDaemon');
  const report = await underLock(path, limits, os, async (view) => {
    if (view.state === 'stale') await removeDead(path, view.file, os);
    if (view.state !== 'alive') return { stopped: false };
    const { file, doubt } = view;
    const refusals = new EndRefusals(file.name ?? path, path);
    if (doubt !== undefined) throw refusals.unjudged(file, doubt);
    if (await isInside(file, os)) throw refusals.inside(file);
    const survivors = await endDaemon(file, os);
    if (survivors.length > 0) throw refusals.survived(file, survivors);
    await removeDead(path, file, os);
    return { stopped: true, pid: file.pid };
  });
  return report ?? { stopped: false };
}

/** Removes the pid file of a dead process; resolves to `true` if it did. */
export async function removeStalePidFile(
  path: string,
  options?: StopDaemonOptions,
): Promise<boolean> {
  const os = systemOs();
  const at = resolve(checkPath(path, 'removeStalePidFile'));
  const limits = checkLockOptions(options, 'removeStalePidFile');
  const isRemoved = await underLock(at, limits, os, async (view) =>
    view.state === 'stale' ? removeDead(at, view.file, os) : false,
  );
  return isRemoved ?? false;
}

/** Acts on a pid file under its spawn lock; `undefined` if there is neither of them. */
async function underLock<T>(
  path: string,
  limits: StopDaemonOptions & { readonly timeoutMs: number },
  os: Os,
  act: (view: PidFileView) => Promise<T>,
): Promise<T | undefined> {
  const lockPath = spawnLockPath(path);
  const isThere = (file: string) => lstatSync(file, { throwIfNoEntry: false }) !== undefined;
  if (!isThere(path) && !isThere(lockPath)) return undefined;
  const lock = await holdLock(lockPath, limits, os);
  try {
    // What a dead launcher has started is nobody else's to find, once its lock is given back.
    if (lock !== undefined) await endUnwritten(lock, os);
    return await act(await inspectPidFile(path, os));
  } finally {
    lock?.release();
  }
}

async function removeDead(path: string, file: PidFile, os: Os): Promise<boolean> {
  const survivors = await removeRemainsOf(path, file, os);
  if (survivors.length > 0)
    throw new EndRefusals(file.name ?? path, path).survived(file, survivors);
  return removeIfUnchanged(path, file, os);
}
