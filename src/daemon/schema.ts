import { z } from 'zod';
import { abortSignal, spawnRequest } from '../spawn/request.ts';
import { durationMs, parseInput, systemText } from '../validation.ts';
import type { DaemonOptions, PidFileDetails, SpawnLockOptions } from './options.ts';
import { exactlyOneWay, readyFields, waysOf } from './ready-schema.ts';

const DEFAULT_TIMEOUT_MS = 30_000;

const ready = z.lazy(() => exactlyOneWay(z.strictObject(readyFields())).transform(waysOf));

export const daemonName = () => systemText().min(1).max(256);

const daemonOptions = z.lazy(() =>
  spawnRequest
    .unwrap()
    .pick({ command: true, args: true, env: true, cwd: true })
    .extend({
      name: daemonName(),
      pidFile: systemText().min(1),
      ready,
      version: daemonName().optional(),
      logFile: systemText().min(1).nullable().optional(),
      timeoutMs: durationMs().default(DEFAULT_TIMEOUT_MS),
      signal: abortSignal.optional(),
    })
    .refine(({ ready, logFile }) => !('stdout' in ready && logFile === null), {
      error: 'must be a path where "ready.stdout" is to be read from it',
      path: ['logFile'],
    }),
);

/** Options as the long way sees them: checked, with their defaults. */
export type CheckedOptions = z.output<typeof daemonOptions>;

/** Checks the options of `ensureDaemon`; throws `INVALID_OPTIONS`. */
export function checkDaemonOptions(options: DaemonOptions): CheckedOptions {
  return parseInput(daemonOptions, options, 'ensureDaemon');
}

const path = z.lazy(() => systemText().min(1));

/** Checks a path of the caller's; throws `INVALID_OPTIONS`. */
export function checkPath(value: unknown, subject: string): string {
  return parseInput(path, value, subject, 'path');
}

const lockOptions = z.lazy(() =>
  z
    .strictObject({
      timeoutMs: durationMs().default(DEFAULT_TIMEOUT_MS),
      signal: abortSignal.optional(),
    })
    .prefault({}),
);

export function checkLockOptions(options: SpawnLockOptions | undefined) {
  return parseInput(lockOptions, options, 'acquireSpawnLock');
}

const pidFileDetails = z.lazy(() =>
  z
    .strictObject({
      name: daemonName().optional(),
      version: daemonName().optional(),
      socket: systemText().min(1).max(4096).optional(),
    })
    .prefault({}),
);

export function checkPidFileDetails(details: PidFileDetails | undefined) {
  return parseInput(pidFileDetails, details, 'writePidFile');
}
