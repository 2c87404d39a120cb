/*
 * The functions that a launcher does not need if it finds its daemon ready. Only index.ts imports this
 * module, when one of them is first called.
 */
export { ensureUnderLock, restartDaemon } from './ensure.ts';
export { removePidFile, writePidFile } from './own-pid-file.ts';
export { rotateLog } from './rotate-log.ts';
export { runAsDaemon } from './run.ts';
export { checkPath } from './schema.ts';
export { acquireSpawnLock } from './spawn-lock.ts';
export { daemonStatus } from './status.ts';
export { removeStalePidFile, stopDaemon } from './stop.ts';
