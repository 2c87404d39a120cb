import { resolve } from 'node:path';
import { holdLock } from '../containment/held-lock.ts';
import { systemOs } from '../os/system.ts';
import type { SpawnLockOptions } from './options.ts';
import { checkLockOptions, checkPath } from './schema.ts';

/** The right to start one daemon. */
export interface SpawnLock {
  /** `false` in a read-only folder, where no lock can be created: then no other process is kept out. */
  readonly held: boolean;
  /** Releases the lock if this process still holds it. Safe to call again. */
  release(): void;
}

/**
 * Waits until no other process holds the lock at `path`, and takes it. The lock of a dead holder is taken
 * over.
 *
 * @throws SupervisorError `READY_TIMEOUT` naming the holder, `ABORTED`, `STATE_DIR_UNSAFE` if its folder
 * does not exist, or `INVALID_OPTIONS`, by rejection
 */
export async function acquireSpawnLock(
  path: string,
  options?: SpawnLockOptions,
): Promise<SpawnLock> {
  checkPath(path, 'acquireSpawnLock');
  const lock = await holdLock(resolve(path), checkLockOptions(options), systemOs());
  return { held: lock?.held ?? false, release: () => lock?.release() };
}
