import { join, resolve } from 'node:path';
import * as z from 'zod/mini';
import { durationMs, parseInput, systemText } from '../check.ts';
import { type EmptyValue, emptyValue } from '../claude-code/arguments.ts';
import type { Os } from '../os/os.ts';
import { type Budget, budget } from '../policy/budget.ts';
import { conversationOptions, type OnDuplicate } from '../policy/conversation-rules.ts';
import {
  assertOptionsConsistent,
  type LimitOptions,
  limitOptions,
  samplingOptions,
} from '../policy/limits/limits.ts';
import { poolOptions } from '../policy/pool-options.ts';
import { sessionOptions } from '../policy/session.ts';
import { maxDepthOption, type SpawnRateOptions, spawnRateOptions } from '../policy/spawn-rate.ts';
import { type Cleanup, cleanupsOption, type DeadProcess } from '../process/ending-rules.ts';
import { type EnvironmentRules, environmentRules } from '../process/environment.ts';
import { ladderOptions } from '../tree/ladder.ts';

/** @internal */
export const supervisorOptions = z.lazy(() =>
  z.strictObject({
    stateDir: z.optional(systemText().check(z.minLength(1))),
    pool: poolOptions,
    ladder: ladderOptions,
    session: sessionOptions,
    conversation: conversationOptions,
    budget: z.prefault(budget, {}),
    environment: z.prefault(environmentRules, {}),
    args: z.prefault(z.strictObject({ emptyValue }), {}),
    leftovers: z._default(z.enum(['terminate', 'keep']), 'terminate'),
    cleanups: cleanupsOption,
    maxDepth: maxDepthOption,
    spawnRate: z.optional(spawnRateOptions),
    guardian: z._default(z.boolean(), true),
    rlimitTag: z._default(z.boolean(), true),
    sweep: z.prefault(
      z.strictObject({ intervalMs: z._default(durationMs().check(z.minimum(10)), 30_000) }),
      {},
    ),
    limits: limitOptions,
    sampling: samplingOptions,
  }),
);

const count = z.lazy(() =>
  z.optional(
    z.pipe(
      z.string().check(z.regex(/^[1-9]\d{0,8}$/, 'must be a whole number of at least 1')),
      z.transform(Number),
    ),
  ),
);

const wallClock = z.lazy(() =>
  z.optional(
    z.pipe(
      z
        .string()
        .check(z.regex(/^(?:none|[1-9]\d{0,14})$/, 'must be a number of milliseconds, or none')),
      z.transform((text) => (text === 'none' ? null : Number(text))),
    ),
  ),
);

/** Everything a host may set; all of it is optional. */
export interface SupervisorOptions {
  /** The folder of the registry. Default: `agent-supervisor` in the platform's per-user state folder, or a private folder in `$XDG_RUNTIME_DIR` or the temporary directory where that cannot be written. */
  stateDir?: string | undefined;
  pool?:
    | {
        /** Agents at once. @default 2 */
        concurrency?: number | undefined;
        /** Live processes of all kinds. Default: 10, or `concurrency` if that is more; the default does not count MCP servers and services. */
        hardCap?: number | undefined;
        /** Slots of all hosts of this machine that share `stateDir`: an agent needs one beside its host's. The smallest number that a host names holds. Default: no limit. */
        machineConcurrency?: number | undefined;
        /** Live processes of each kind, by its label; `'*'` is for each kind that is not named. Default: only `hardCap`. */
        hardCapPerKind?: Readonly<Record<string, number>> | undefined;
        /** Live processes that name a key: `{ anthropic: 4, 'repo:*': 1 }`. A `*` at the end is for each key with that beginning, by itself. Default: no bound. */
        perKey?: Readonly<Record<string, number>> | undefined;
        /** Processes of each kind that may be starting at once; `'*'` is for each kind that is not named. A process is starting from its launch to its first output. Default: no bound. */
        startingPerKind?: Readonly<Record<string, number>> | undefined;
        /** Requests that may wait for a slot; one more is refused with `QUEUE_FULL`. Default: any number. */
        maxWaiting?: number | undefined;
        /** Pauses the pool when an agent reports that its account's usage limit is reached, until that resets. @default false */
        pauseOnUsageLimit?: boolean | undefined;
        /** The longest wait of `acquire` for a slot, in ms. @default 60_000 */
        waitTimeoutMs?: number | undefined;
        /** The longest wait of a spawn hook's agent in the queue, in ms. Default: without end. */
        hookTimeoutMs?: number | undefined;
      }
    | undefined;
  ladder?:
    | {
        /** From stdin's end to SIGTERM. @default 2000 */
        stdinEofMs?: number | undefined;
        /** From SIGTERM to SIGKILL. @default 5000 */
        termMs?: number | undefined;
        /** From SIGKILL to the report of survivors. @default 1000 */
        killMs?: number | undefined;
      }
    | undefined;
  session?:
    | {
        /** The longest duration of a session from its first request on, in ms; `null` is without end. @default 14_400_000 (4 hours) */
        maxWallClockMs?: number | null | undefined;
        /** Ends its processes then, or only refuses new ones. @default 'terminate' */
        onExpire?: 'terminate' | 'refuse' | undefined;
        /** Time that it is remembered after it was last seen, in ms. Default: 30 days, or `maxWallClockMs` if that is more. */
        retentionMs?: number | undefined;
      }
    | undefined;
  conversation?:
    | {
        /** The answer to a request for a conversation that has a live agent. @default 'replace' */
        onDuplicate?: OnDuplicate | undefined;
        /** Reads what the agent's CLI records of its running sessions: one that nobody supervises makes its conversation busy (Linux). @default true */
        observeCli?: boolean | undefined;
      }
    | undefined;
  /** The spending after which nothing more is started; a request may set its own. Default: without end. */
  budget?: Budget | undefined;
  /** The environment sanitizer's own rules, which come before its built-in lists. */
  environment?: EnvironmentRules | undefined;
  /** The Claude hook's treatment of `--flag ''`. @default { emptyValue: 'join' } */
  args?: { emptyValue?: EmptyValue | undefined } | undefined;
  /** Ends descendants that outlive a process which ended by itself, or keeps them. @default 'terminate' */
  leftovers?: 'terminate' | 'keep' | undefined;
  /**
   * Commands for what processes of dead hosts have left outside their trees, by the name of their `cleanup`.
   * A command of its own may be made for each process. Default: none.
   */
  cleanups?:
    | Readonly<
        Record<string, Omit<Cleanup, 'name'> | ((process: DeadProcess) => Omit<Cleanup, 'name'>)>
      >
    | undefined;
  /** The deepest nesting of agents that host supervisors; the agents of an unsupervised host are at depth 1. @default 4 */
  maxDepth?: number | undefined;
  /** The most processes that may start within a sliding window. Default: any number. */
  spawnRate?: SpawnRateOptions | undefined;
  /** Starts a helper process that ends what is left if the host itself dies. @default true */
  guardian?: boolean | undefined;
  /** Marks each process by a number in a resource limit without effect (Linux). It cannot lose that, as it can its environment. @default true */
  rlimitTag?: boolean | undefined;
  /** The interval of sweeps, in ms. @default { intervalMs: 30_000 } */
  sweep?: { intervalMs?: number | undefined } | undefined;
  /** The limits that end a process which is stuck, idle, too large or too old. Default: no limit. */
  limits?: LimitOptions | undefined;
  /** The interval at which limits look at memory and CPU time, in ms. @default { intervalMs: 5000 } */
  sampling?: { intervalMs?: number | undefined } | undefined;
}

/** @internal The options with every default filled in. */
export type ResolvedOptions = Readonly<z.output<typeof supervisorOptions>> & {
  readonly stateDir: string;
  /** Why the state directory is not in the user's home, where nobody has named another one. */
  readonly homeless?: string;
};

const STATE_FOLDER = 'agent-supervisor';

/**
 * @internal
 *
 * Checks the host's options and fills in those that it left out. The operator's environment
 * (`AGENT_SUPERVISOR_CONCURRENCY`, `_HARD_CAP`, `_WALL_CLOCK`, `_STATE_DIR`) comes before the defaults.
 *
 * @throws SupervisorError `INVALID_OPTIONS` naming the field, the value and the way out
 */
export function resolveOptions(input: SupervisorOptions, os: Os): ResolvedOptions {
  const environment = os.environment();
  const operator = parseInput(
    z.object({
      AGENT_SUPERVISOR_CONCURRENCY: count,
      AGENT_SUPERVISOR_HARD_CAP: count,
      AGENT_SUPERVISOR_MACHINE_CONCURRENCY: count,
      AGENT_SUPERVISOR_WALL_CLOCK: wallClock,
    }),
    {
      // Empty is how an operator unsets a variable that something else has set.
      AGENT_SUPERVISOR_CONCURRENCY: environment['AGENT_SUPERVISOR_CONCURRENCY'] || undefined,
      AGENT_SUPERVISOR_HARD_CAP: environment['AGENT_SUPERVISOR_HARD_CAP'] || undefined,
      AGENT_SUPERVISOR_MACHINE_CONCURRENCY:
        environment['AGENT_SUPERVISOR_MACHINE_CONCURRENCY'] || undefined,
      AGENT_SUPERVISOR_WALL_CLOCK: environment['AGENT_SUPERVISOR_WALL_CLOCK'] || undefined,
    },
    'environment',
  );
  const options = parseInput(
    supervisorOptions,
    withOperator(input, {
      pool: {
        concurrency: operator.AGENT_SUPERVISOR_CONCURRENCY,
        hardCap: operator.AGENT_SUPERVISOR_HARD_CAP,
        machineConcurrency: operator.AGENT_SUPERVISOR_MACHINE_CONCURRENCY,
      },
      session: { maxWallClockMs: operator.AGENT_SUPERVISOR_WALL_CLOCK },
    }),
    'options',
  );
  assertOptionsConsistent(options.limits);
  return { ...options, ...findStateDir(options.stateDir, os) };
}

/** @internal Finds the state directory: the caller's, the operator's, or the platform's own. */
export function findStateDir(
  requested: string | undefined,
  os: Os,
): Pick<ResolvedOptions, 'stateDir' | 'homeless'> {
  const named = requested ?? (os.environment()['AGENT_SUPERVISOR_STATE_DIR'] || undefined);
  if (named !== undefined) return { stateDir: resolve(named) };
  const fallback = os.stateFallback?.(STATE_FOLDER);
  const stateDir = resolve(fallback?.path ?? join(os.stateHome(), STATE_FOLDER));
  return { stateDir, ...(fallback && { homeless: fallback.reason }) };
}

/** Lays the operator's word under what the host has left out. */
function withOperator(
  input: SupervisorOptions,
  operator: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
): unknown {
  if (!isObject(input)) return input;
  const merged: Record<string, unknown> = { ...input };
  for (const [group, values] of Object.entries(operator)) {
    const own = merged[group] === undefined ? {} : merged[group];
    if (!isObject(own)) continue;
    const entries = Object.entries(values).map(([name, value]) => [
      name,
      own[name] === undefined ? value : own[name],
    ]);
    merged[group] = { ...own, ...Object.fromEntries(entries) };
  }
  return merged;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
