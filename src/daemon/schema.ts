import { z } from 'zod';
import { abortSignal, spawnRequest } from '../spawn/request.ts';
import { durationMs, parseInput, systemText } from '../validation.ts';
import type { DaemonOptions, PidFileDetails, Ready, SpawnLockOptions } from './options.ts';

const DEFAULT_TIMEOUT_MS = 30_000;

const WAYS = ['port', 'url', 'socket', 'check', 'stdout'] as const;

const ready = z.lazy(() =>
  z
    .strictObject({
      port: z.int().min(1).max(65_535).optional(),
      host: systemText().min(1).optional(),
      url: systemText()
        .refine((url) => /^https?:$/.test(URL.parse(url)?.protocol ?? ''), {
          error: 'must be an http or https address',
        })
        .optional(),
      socket: systemText()
        .min(1)
        .or(z.string().regex(/^\0[^\0]+$/))
        .optional(),
      check: z
        .custom((value) => typeof value === 'function', { error: 'must be a function' })
        .optional(),
      stdout: z.instanceof(RegExp, { error: 'must be a regular expression' }).optional(),
    })
    .refine((wish) => WAYS.filter((way) => wish[way] !== undefined).length === 1, {
      error: `must have exactly one of ${WAYS.join(', ')}`,
    })
    .refine(({ host, port }) => host === undefined || port !== undefined, {
      error: 'must come with a port',
      path: ['host'],
    })
    // The ways are told apart by which of them is there.
    .transform((wish) => definedOnly(wish) as Ready),
);

function definedOnly(fields: object): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

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
