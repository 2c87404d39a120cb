import { isAbsolute } from 'node:path';
import * as z from 'zod/mini';
import { durationMs, parseInput, systemText } from '../check.ts';
import type { EndingOptions, RunOptions, SpawnRequest } from '../index.ts';
import { type RestartPolicy, restartPolicy, withBackoff } from '../policy/restart-policy.ts';
import type { Ready } from '../ready/ready.ts';
import { exactlyOneWay, readyFields, waysOf } from '../ready/ready-schema.ts';
import type { SupervisorInternals } from '../supervisor/internals.ts';

export interface ReadyOptions {
  /** From the start of the process, in ms. @default 30_000 */
  timeoutMs?: number | undefined;
}

/** The restart policy of a service; its counts are shared with all hosts of the state directory. */
export type ServiceRestart = Pick<
  RunOptions,
  'maxRestarts' | 'windowMs' | 'backoffMs' | 'maxBackoffMs' | 'jitter' | 'sameCrashLimit'
>;

/** The circuit breaker, which leaves a service that fails alone for a while. */
export interface ServiceBreaker {
  /** So many failures in a row. @default 3 */
  failures?: number | undefined;
  /** For how long, in ms. @default 60_000 */
  openMs?: number | undefined;
  /** Time that an instance must have been ready to count as a success, in ms. @default 10_000 */
  stableMs?: number | undefined;
}

/** A process that is to run once, for as long as it is wanted. */
export interface ServiceDefinition
  extends Pick<
      SpawnRequest,
      | 'command'
      | 'args'
      | 'env'
      | 'cwd'
      | 'sessionId'
      | 'limits'
      | 'stdin'
      | 'input'
      | 'stdout'
      | 'stderr'
    >,
    EndingOptions {
  /** Names it in events, errors and the state directory, where its hosts share what they know of it. */
  name: string;
  /** A label for reports. @default 'service' */
  kind?: string | undefined;
  /** The proof that it is ready. Default: it runs. */
  ready?: (Ready & ReadyOptions) | undefined;
  /** The restart policy; `false`: it is started only by `ensure`. */
  restart?: ServiceRestart | false | undefined;
  breaker?: ServiceBreaker | undefined;
  /** Files that it makes while it runs and that would be in the way of the next one (absolute paths). */
  lockFiles?: readonly string[] | undefined;
}

const LONGEST_OPEN_MS = 24 * 3_600_000;

const absolutePath = () =>
  systemText().check(
    z.refine(isAbsolute, { error: 'must be an absolute path: the folder may change' }),
  );
const ready = () =>
  z.pipe(
    exactlyOneWay(
      z.strictObject({
        ...readyFields(),
        timeoutMs: z._default(durationMs().check(z.minimum(1)), 30_000),
      }),
    ),
    z.transform(({ timeoutMs, ...input }) => ({ by: waysOf(input), timeoutMs })),
  );

const definition = z
  .strictObject({
    name: z.string().check(z.minLength(1), z.maxLength(256)),
    ready: z.optional(ready()),
    restart: z.prefault(restartPolicy, {}),
    breaker: z.prefault(
      z.strictObject({
        failures: z._default(z.int().check(z.minimum(1)), 3),
        openMs: z._default(durationMs().check(z.minimum(1), z.maximum(LONGEST_OPEN_MS)), 60_000),
        stableMs: z._default(durationMs(), 10_000),
      }),
      {},
    ),
    lockFiles: z._default(z.readonly(z.array(absolutePath())), []),
    // These are the spawn's to check.
    command: z.optional(z.unknown()),
    args: z.optional(z.unknown()),
    env: z.optional(z.unknown()),
    cwd: z.optional(z.unknown()),
    sessionId: z.optional(z.unknown()),
    limits: z.optional(z.unknown()),
    leftovers: z.optional(z.unknown()),
    leftoversGraceMs: z.optional(z.unknown()),
    ladder: z.optional(z.unknown()),
    stopSignal: z.optional(z.unknown()),
    signalFirst: z.optional(z.unknown()),
    cleanup: z.optional(z.unknown()),
    kind: z.optional(z.unknown()),
    stdin: z.optional(z.unknown()),
    input: z.optional(z.unknown()),
    stdout: z.optional(z.unknown()),
    stderr: z.optional(z.unknown()),
  })
  .check(
    z.refine(
      ({ ready, stdout = 'pipe' }) => stdout === 'pipe' || !ready || !('stdout' in ready.by),
      { path: ['stdout'], error: 'must be \'pipe\' where "ready.stdout" is to be read from it' },
    ),
  );

/** @internal The checked proof that a service is ready. */
export type CheckedReady = NonNullable<z.output<typeof definition>['ready']>;

/** @internal A definition with every default filled in. */
export interface CheckedDefinition {
  readonly name: string;
  readonly ready: CheckedReady | undefined;
  /** It is started again without a call of `ensure`. */
  readonly comesBack: boolean;
  readonly policy: RestartPolicy;
  readonly breaker: Readonly<Record<keyof ServiceBreaker, number>>;
  readonly lockFiles: readonly string[];
  readonly request: SpawnRequest;
}

/** @internal Checks what a user wrote; `check` is for what the spawn will ask of it. */
export function checkDefinition(
  input: ServiceDefinition,
  check: SupervisorInternals['check'],
): CheckedDefinition {
  const comesBack = input?.restart !== false;
  const { name, ready, restart, breaker, lockFiles, ...request } = parseInput(
    definition,
    comesBack ? input : { ...input, restart: undefined },
    'defineService',
    'definition',
  );
  const spawned = { kind: 'service', slot: false, ...(request as unknown as SpawnRequest) };
  check(spawned, 'defineService');
  const policy = withBackoff(restart);
  return { name, ready, comesBack, policy, breaker, lockFiles, request: spawned };
}
