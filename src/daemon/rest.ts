/*
 * All that a launcher does not need which finds its daemon ready: loaded when it is first asked for, by
 * index.ts alone.
 */
export { ensureUnderLock } from './ensure.ts';
export { removePidFile, writePidFile } from './own-pid-file.ts';
export { runAsDaemon } from './run.ts';
export { checkPath } from './schema.ts';
export { acquireSpawnLock } from './spawn-lock.ts';
