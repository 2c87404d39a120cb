import * as z from 'zod/mini';
import { parseInput } from '../check.ts';
import {
  type EndingOptions,
  type ExitReport,
  getSupervisor,
  type HookOptions,
  type SlotLease,
  type SpawnRequest,
  type Supervisor,
  SupervisorError,
} from '../index.ts';
import type { QueryParams, RunningQuery } from './sdk.ts';
import { SupervisedQuery } from './supervised-query.ts';

/** The SDK's `query`, of whichever version. */
type QueryFunction = (params: never) => AsyncGenerator<unknown, unknown>;

/** Options of supervised queries; missing ones take the supervisor's defaults. */
export interface SuperviseQueryOptions
  extends Pick<
      SpawnRequest,
      | 'sessionId'
      | 'maxWallClockMs'
      | 'conversationId'
      | 'onDuplicate'
      | 'kind'
      | 'slot'
      | 'priority'
      | 'keys'
      | 'budget'
      | 'limits'
    >,
    EndingOptions {
  /** Default: the lease's, or `getSupervisor()`. */
  supervisor?: Supervisor | undefined;
  /** The slot that the agents run on, one at a time; it stays the caller's to release. Its session holds. Default: each agent waits for a slot of its own. */
  lease?: SlotLease | undefined;
  /** Called with the report of each process that a query has started, or that was refused. */
  onExit?: ((report: ExitReport) => void) | undefined;
}

const ofRequest = z.optional(z.unknown());
const superviseQueryOptions = z.strictObject({
  supervisor: z.optional(
    z.custom<Supervisor>((value) => typeof (value as Supervisor)?.charge === 'function', {
      error: 'must be a supervisor',
    }),
  ),
  onExit: z.optional(
    z.custom<(report: ExitReport) => void>((value) => typeof value === 'function', {
      error: 'must be a function',
    }),
  ),
  // The hook checks these.
  sessionId: ofRequest,
  maxWallClockMs: ofRequest,
  conversationId: ofRequest,
  onDuplicate: ofRequest,
  kind: ofRequest,
  slot: ofRequest,
  priority: ofRequest,
  keys: ofRequest,
  budget: ofRequest,
  limits: ofRequest,
  leftovers: ofRequest,
  leftoversGraceMs: ofRequest,
  ladder: ofRequest,
  stopSignal: ofRequest,
  signalFirst: ofRequest,
  cleanup: ofRequest,
  lease: z.optional(
    z.custom<SlotLease>(isLease, { error: 'must be a lease, as supervisor.acquire() gives it' }),
  ),
});

/**
 * Wraps the SDK's `query` in one of the same signature that supervises its agents.
 *
 * Each agent waits for a slot, and its session is charged with its costs. A query is over only when its
 * agent's whole process tree is dead.
 *
 * @throws SupervisorError `INVALID_OPTIONS`; the returned function throws what the spawn hook throws.
 * Later errors are thrown by the query's iterator
 *
 * @example
 * ```ts
 * const supervised = superviseQuery(query, { sessionId: 'nightly', budget: { perSessionUsd: 5 } });
 * for await (const message of supervised({ prompt: 'What is in this folder?' })) console.log(message);
 * ```
 */
export function superviseQuery<Q extends QueryFunction>(
  query: Q,
  supervision: SuperviseQueryOptions = {},
): Q {
  const { lease, onExit, ...options } = parseInput(
    superviseQueryOptions,
    supervision,
    'superviseQuery',
  ) as SuperviseQueryOptions;
  const { supervisor = supervisorOf(lease), ...request } = options;
  if (lease !== undefined && lease.supervisor !== supervisor) throw leaseOfAnother();
  const hook = (lease ?? supervisor).spawnHook(request);
  const sessionId = request.sessionId ?? lease?.sessionId;
  const ask = query as unknown as (params: QueryParams) => RunningQuery;
  return ((params: QueryParams) => {
    if (params?.options?.spawnClaudeCodeProcess !== undefined) throw twoHooks();
    const supervised = new SupervisedQuery({ supervisor, sessionId, onExit }, params);
    const abortController = supervised.controller;
    const spawnClaudeCodeProcess = (spawn: HookOptions) => supervised.watch(hook(spawn));
    const running = {
      ...executableOf(supervisor),
      ...params?.options,
      abortController,
      spawnClaudeCodeProcess,
    };
    return supervised.attach(ask({ ...params, options: running }));
  }) as unknown as Q;
}

// Set by createTestSupervisor({ agent }): with a fake agent the SDK's binary need not be installed.
const EXECUTABLE = Symbol.for('agent-supervisor.agent-executable.v1');

function executableOf(supervisor: Supervisor): { pathToClaudeCodeExecutable?: string } {
  const path = (supervisor as { [EXECUTABLE]?: string })[EXECUTABLE];
  return path === undefined ? {} : { pathToClaudeCodeExecutable: path };
}

function isLease(value: unknown): boolean {
  const { spawnHook, release } = (value ?? {}) as Partial<SlotLease>;
  return typeof spawnHook === 'function' && typeof release === 'function';
}

function supervisorOf(lease: SlotLease | undefined): Supervisor {
  return lease === undefined ? getSupervisor() : (lease.supervisor as Supervisor);
}

function leaseOfAnother(): SupervisorError {
  return new SupervisorError(
    'INVALID_OPTIONS',
    'superviseQuery: "lease" is of another supervisor than "supervisor". Leave "supervisor" out: the lease brings its own.',
    { data: { field: 'lease' } },
  );
}

function twoHooks(): SupervisorError {
  return new SupervisorError(
    'INVALID_OPTIONS',
    'superviseQuery: "options.spawnClaudeCodeProcess" is set, but an agent has one supervisor. Leave it out, or use the SDK\'s own query with supervisor.spawnHook() in it.',
    { data: { field: 'options.spawnClaudeCodeProcess' } },
  );
}
