import * as z from 'zod/mini';
import { durationMs } from '../check.ts';

const DEFAULT_HARD_CAP = 10;

const atLeast = (minimum: number) => z.int().check(z.minimum(minimum));
const perLabel = () => z._default(z.record(z.string(), atLeast(1)), {});
const perKey = () =>
  perLabel().check(
    z.refine((caps) => Object.keys(caps).every((key) => !key.slice(0, -1).includes('*')), {
      error: 'must have a "*" only at the end of a key',
    }),
  );

/** @internal */
export const poolOptions = z.lazy(() =>
  z
    .pipe(
      z.prefault(
        z.strictObject({
          concurrency: z._default(atLeast(1), 2),
          hardCap: z.optional(atLeast(1)),
          machineConcurrency: z.optional(atLeast(1)),
          hardCapPerKind: perLabel(),
          startingPerKind: perLabel(),
          perKey: perKey(),
          maxWaiting: z.optional(atLeast(0)),
          pauseOnUsageLimit: z._default(z.boolean(), false),
          waitTimeoutMs: z._default(durationMs(), 60_000),
          hookTimeoutMs: z.optional(durationMs()),
        }),
        {},
      ),
      z.transform(({ hardCap, ...rest }) => ({
        ...rest,
        // A pool that is larger than the default cap raises the cap.
        hardCap: hardCap ?? Math.max(DEFAULT_HARD_CAP, rest.concurrency),
        // The default is for what works by itself; the host's own number is for all that runs.
        hardCapCounts: hardCap === undefined ? ('workers' as const) : ('all' as const),
      })),
    )
    .check(
      z.refine(({ hardCap, concurrency }) => hardCap >= concurrency, {
        error: 'hardCap must be at least concurrency',
        path: ['hardCap'],
      }),
    ),
);

/** @internal The names under which a request is counted. */
export const requestKeys = z.lazy(() =>
  z.readonly(z.array(z.string().check(z.minLength(1), z.maxLength(256))).check(z.maxLength(16))),
);

/** The checked options of a pool. */
export type PoolOptions = Readonly<z.output<typeof poolOptions>>;

/** The options with which a pool is made. */
export type PoolLimits = Pick<
  PoolOptions,
  | 'concurrency'
  | 'hardCap'
  | 'hardCapCounts'
  | 'hardCapPerKind'
  | 'startingPerKind'
  | 'perKey'
  | 'maxWaiting'
>;

/** The bounds on live processes. */
export type HardCaps = Pick<PoolOptions, 'hardCap' | 'hardCapCounts' | 'hardCapPerKind'>;

/** The bound of a label in a table whose `'*'` is for each label that is not named. */
export function capOf(label: string, caps: Readonly<Record<string, number>>): number | undefined {
  // Any text may be a label, even `constructor`.
  return caps[Object.hasOwn(caps, label) ? label : '*'];
}

/** The bound of a key: its own, else that of the longest beginning which an entry with `*` names. */
export function capOfKey(key: string, caps: Readonly<Record<string, number>>): number | undefined {
  if (Object.hasOwn(caps, key)) return caps[key];
  let longest: string | undefined;
  for (const entry of Object.keys(caps))
    if (entry.endsWith('*') && key.startsWith(entry.slice(0, -1)))
      if (longest === undefined || entry.length > longest.length) longest = entry;
  return longest === undefined ? undefined : caps[longest];
}
