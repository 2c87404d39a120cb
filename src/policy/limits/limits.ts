import * as z from 'zod/mini';
import { durationMs } from '../../check.ts';
import { SupervisorError } from '../../errors.ts';

/** The value of `idleMs: true`. */
const IDLE_MS = 60_000;

const above0 = (unit: string, more = '') => {
  const params = { error: `must be a number of ${unit} above 0${more}, or null for no limit` };
  return [z.number(params).check(z.positive(params)), z.null(), params] as const;
};
const amount = (unit: string) => {
  const [number, none, params] = above0(unit);
  return z.optional(z.union([number, none], params));
};
const idle = () => {
  const [number, none, params] = above0('milliseconds', `, true for ${IDLE_MS}`);
  return z.optional(
    z.union(
      [
        number,
        none,
        z.pipe(
          z.literal(true),
          z.transform(() => IDLE_MS),
        ),
      ],
      params,
    ),
  );
};
const shape = () => ({
  startupMs: amount('milliseconds'),
  idleMs: idle(),
  memoryBytes: amount('bytes'),
  lifetimeMs: amount('milliseconds'),
});

/** @internal The limits of one spawn, or of one kind. */
export const processLimits = z.lazy(() => z.strictObject(shape()));

/** @internal */
export const limitOptions = z.lazy(() =>
  z.prefault(
    z.strictObject({ ...shape(), perKind: z._default(z.record(z.string(), processLimits), {}) }),
    {},
  ),
);

/** @internal */
export const samplingOptions = z.lazy(() =>
  z.prefault(
    z.strictObject({ intervalMs: z._default(durationMs().check(z.minimum(10)), 5000) }),
    {},
  ),
);

/**
 * The limits that end a process and its tree. `null` is no limit; limits that are left out are
 * inherited.
 */
export interface Limits {
  /** Longest time in ms from the start to the first output. Default: no limit. */
  startupMs?: number | null | undefined;
  /** Longest idleness in ms; `true` means 60000. Default: no limit. */
  idleMs?: number | true | null | undefined;
  /** Most memory in bytes, summed over the tree. Default: no limit. */
  memoryBytes?: number | null | undefined;
  /** Longest lifetime in ms. Default: no limit. */
  lifetimeMs?: number | null | undefined;
}

/**
 * The limits of all processes; `idleMs` is for agents only, unless it is set in `perKind` or the
 * spawn.
 */
export interface LimitOptions extends Limits {
  /** The limits of a kind; they override the others for its processes. */
  perKind?: Readonly<Record<string, Limits>> | undefined;
}

/** @internal */
type LimitInput = z.output<typeof processLimits>;
/** The limits of one process after merging; `null` is no limit. */
export type ProcessLimits = Readonly<
  Record<'startupMs' | 'idleMs' | 'memoryBytes' | 'lifetimeMs', number | null>
>;

/**
 * @internal Merges limits: those of the spawn override those of its kind, and those the
 * supervisor's.
 */
export function mergeLimits(
  { perKind, ...everywhere }: z.output<typeof limitOptions>,
  kind: string,
  ofSpawn: LimitInput = {},
): ProcessLimits {
  // Any text may be a kind, even `constructor`.
  const ofKind: LimitInput = (Object.hasOwn(perKind, kind) && perKind[kind]) || {};
  const { idleMs: ofAgents, ...ofAll } = everywhere;
  const inherited: LimitInput = kind === 'agent' ? { ...ofAll, idleMs: ofAgents } : ofAll;
  const first = (name: keyof ProcessLimits): number | null =>
    [ofSpawn, ofKind, inherited]
      .map((inputs) => inputs[name])
      .find((value) => value !== undefined) ?? null;
  return {
    startupMs: first('startupMs'),
    idleMs: first('idleMs'),
    memoryBytes: first('memoryBytes'),
    lifetimeMs: first('lifetimeMs'),
  };
}

/**
 * @internal Refuses limits of which one could never be reached.
 *
 * @throws SupervisorError `INVALID_OPTIONS` naming both fields and their values
 */
export function assertConsistent(limits: ProcessLimits, subject: string, field = 'limits'): void {
  const { lifetimeMs } = limits;
  for (const name of ['startupMs', 'idleMs'] as const) {
    const value = limits[name];
    if (value === null || lifetimeMs === null || value <= lifetimeMs) continue;
    const fields = [`${field}.${name}`, `${field}.lifetimeMs`] as const;
    throw new SupervisorError(
      'INVALID_OPTIONS',
      `${subject}: "${fields[0]}" is ${value}, but must not be longer than "${fields[1]}", which is ${lifetimeMs}: it would never be reached. Correct one of them, or set it to null.`,
      { data: { fields, values: [value, lifetimeMs] } },
    );
  }
}

/**
 * @internal Checks a supervisor's limits in the same way: for all processes, agents and each named
 * kind.
 */
export function assertOptionsConsistent(options: z.output<typeof limitOptions>): void {
  assertConsistent(mergeLimits({ ...options, perKind: {} }, 'agent'), 'options');
  for (const kind of Object.keys(options.perKind))
    assertConsistent(mergeLimits(options, kind), 'options', `limits.perKind.${kind}`);
}
