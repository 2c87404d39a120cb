import { resolve } from 'node:path';
import { holdLock } from '../containment/held-lock.ts';
import { systemOs } from '../os/system.ts';
import type { SpawnLockOptions } from './options.ts';
import { checkLockOptions, checkPath } from './schema.ts';

/** The right to start one daemon. */
export interface SpawnLock {
  /** `false` where no lock can be made, in a folder that cannot be written: then nobody is kept out. */
  readonly held: boolean;
  /** Gives the lock back, if it is still ours; safe to call again. */
  release(): void;
}

/**
 * Waits until nobody else holds the lock at `path`, and takes it. A dead holder's is taken over.
 *
 * @throws SupervisorError `READY_TIMEOUT` naming the holder, `ABORTED`, `STATE_DIR_UNSAFE` for a folder
 * that is none, or `INVALID_OPTIONS`, by rejection
 */
export async function acquireSpawnLock(
  path: string,
  options?: SpawnLockOptions,
): Promise<SpawnLock> {
  checkPath(path, 'acquireSpawnLock');
  const lock = await holdLock(resolve(path), checkLockOptions(options), systemOs());
  return { held: lock?.held ?? false, release: () => lock?.release() };
}
