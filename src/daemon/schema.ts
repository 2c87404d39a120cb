import * as z from 'zod/mini';
import { durationMs, made, parseInput, systemText } from '../check.ts';
import { abortSignal, spawnRequest } from '../process/request.ts';
import { exactlyOneWay, readyFields, waysOf } from '../ready/ready-schema.ts';
import { pidFileFields } from '../store/pid-record.ts';
import { LOG_MAX_BYTES } from './log-limit.ts';
import type {
  DaemonOptions,
  PidFileDetails,
  PidFileFields,
  Predecessor,
  SpawnLockOptions,
  StopDaemonOptions,
} from './options.ts';

const DEFAULT_TIMEOUT_MS = 30_000;
const DEFAULT_BOOT_MS = 60_000;

const ready = z.pipe(
  exactlyOneWay(z.strictObject(readyFields())),
  z.transform((input) => waysOf(input)),
);

const callback = <F>() =>
  z.custom<F>((value) => typeof value === 'function', { error: 'must be a function' });

export const daemonName = () => systemText().check(z.minLength(1), z.maxLength(256));

const daemonOptions = z
  .extend(z.pick(made(spawnRequest), { command: true, args: true, env: true, cwd: true }), {
    name: daemonName(),
    pidFile: systemText().check(z.minLength(1)),
    ready,
    version: z.optional(daemonName()),
    logFile: z.optional(z.nullable(systemText().check(z.minLength(1)))),
    logMaxBytes: z._default(z.nullable(z.int().check(z.minimum(1))), LOG_MAX_BYTES),
    timeoutMs: z._default(durationMs(), DEFAULT_TIMEOUT_MS),
    bootMs: z._default(durationMs(), DEFAULT_BOOT_MS),
    predecessor: z.optional(
      z.strictObject({
        pid: callback<Predecessor['pid']>(),
        prove: callback<Predecessor['prove']>(),
      }),
    ),
    signal: z.optional(abortSignal),
  })
  .check(
    z.refine(({ ready, logFile }) => !('stdout' in ready && logFile === null), {
      error: 'must be a path where "ready.stdout" is to be read from it',
      path: ['logFile'],
    }),
  );

/** Checked options with their defaults, for the slow path. */
export type CheckedOptions = z.output<typeof daemonOptions>;

/** Checks the options of `ensureDaemon`; throws `INVALID_OPTIONS`. */
export function checkDaemonOptions(
  options: DaemonOptions,
  subject = 'ensureDaemon',
): CheckedOptions {
  return parseInput(daemonOptions, options, subject);
}

const path = systemText().check(z.minLength(1));

/** Checks a path from the caller; throws `INVALID_OPTIONS`. */
export function checkPath(value: unknown, subject: string): string {
  return parseInput(path, value, subject, 'path');
}

const lockOptions = z.prefault(
  z.strictObject({
    timeoutMs: z._default(durationMs(), DEFAULT_TIMEOUT_MS),
    signal: z.optional(abortSignal),
  }),
  {},
);

export function checkLockOptions(
  options: SpawnLockOptions | StopDaemonOptions | undefined,
  subject = 'acquireSpawnLock',
) {
  return parseInput(lockOptions, options, subject);
}

/** Checks a daemon's own fields; throws `INVALID_OPTIONS`. */
export function checkFields(fields: PidFileFields): PidFileFields {
  return parseInput(pidFileFields(), fields, 'setFields', 'fields');
}

const pidFileDetails = z.prefault(
  z.strictObject({
    name: z.optional(daemonName()),
    version: z.optional(daemonName()),
    socket: z.optional(systemText().check(z.minLength(1), z.maxLength(4096))),
    fields: z.optional(pidFileFields()),
  }),
  {},
);

export function checkPidFileDetails(details: PidFileDetails | undefined) {
  return parseInput(pidFileDetails, details, 'writePidFile');
}
