import * as z from 'zod/mini';
import { made, parseInput } from '../check.ts';
import {
  assertConsistent,
  mergeLimits,
  type ProcessLimits,
  processLimits,
} from '../policy/limits/limits.ts';
import { assertRemembered } from '../policy/session.ts';
import { requestOf } from '../process/adopt.ts';
import type { SupervisedProcess } from '../process/handle.ts';
import {
  type CheckedRequest,
  requireSession,
  type SpawnRequest,
  spawnRequest,
} from '../process/request.ts';
import {
  pipedOf,
  requireStreams,
  type StdioOptions,
  streamsOfTheSdk,
} from '../process/stdio-options.ts';
import type { ResolvedOptions } from './options.ts';

/** The fields that a spawn hook gives to each of its processes; program, arguments and streams are the SDK's own. */
export type HookDefaults = Partial<Omit<SpawnRequest, 'command' | 'args' | keyof StdioOptions>>;

/** The options that the SDK passes to its spawn hook; unknown keys pass. */
export interface HookOptions {
  command: string;
  args: readonly string[];
  cwd?: string | undefined;
  env?: Readonly<Record<string, string | undefined>> | undefined;
  signal?: AbortSignal | undefined;
}

/** The function for the SDK's option `spawnClaudeCodeProcess`. */
export type SpawnHook = (options: HookOptions) => SupervisedProcess;

const requestFields = z.lazy(() =>
  z.extend(made(spawnRequest), { limits: z.optional(processLimits) }),
);
// What each call of a hook says for itself would go over a default, unnoticed.
const spawnDefaults = z.lazy(() =>
  z
    .extend(z.partial(made(requestFields)), {
      ...streamsOfTheSdk(),
      command: z.optional(
        z.undefined({
          error: 'must be left out: the Agent SDK names the program (pathToClaudeCodeExecutable)',
        }),
      ),
      args: z.optional(
        z.undefined({
          error:
            "must be left out: the Agent SDK gives the agent's arguments (its extraArgs adds some)",
        }),
      ),
    })
    .check(z.superRefine(requireSession)),
);
const limitedRequest = z.lazy(() =>
  made(requestFields).check(z.superRefine(requireSession), z.superRefine(requireStreams)),
);

/** A process that others launch: what a spawn says of its own. */
export type LaunchOptions = Pick<
  SpawnRequest,
  | 'env'
  | 'signal'
  | 'sessionId'
  | 'maxWallClockMs'
  | 'conversationId'
  | 'onDuplicate'
  | 'kind'
  | 'budget'
  | 'leftovers'
>;

const launchOptions = z.lazy(() =>
  z
    .pick(made(spawnRequest), {
      env: true,
      signal: true,
      sessionId: true,
      maxWallClockMs: true,
      conversationId: true,
      onDuplicate: true,
      kind: true,
      // Those of its lease: the caller names none.
      keys: true,
      budget: true,
      leftovers: true,
    })
    .check(z.superRefine(requireSession)),
);

type Rules = Pick<ResolvedOptions, 'limits' | 'session'>;

/** @internal Checks a request on its own and against the supervisor's options. */
export function checkRequest(input: SpawnRequest, rules: Rules, subject: string): CheckedRequest {
  const request = parseInput(limitedRequest, input, subject, 'request');
  const limits = consistentLimits(request, rules, subject);
  const { stdout, stderr } = pipedOf(request);
  // What is not seen cannot be missed.
  return { ...request, limits: stdout && stderr ? limits : { ...limits, startupMs: null } };
}

/** @internal Checks the defaults of a spawn hook, which are the same for each of its processes. */
export function checkHookDefaults(defaults: HookDefaults, rules: Rules): void {
  consistentLimits(parseInput(spawnDefaults, defaults, 'spawnHook'), rules, 'spawnHook');
}

/** @internal Checks what a launch by others says of its process. */
export function checkLaunch(options: LaunchOptions, rules: Rules): CheckedRequest {
  const checked = parseInput(launchOptions, options, 'lease.launch');
  assertRemembered(checked.maxWallClockMs, rules.session, 'lease.launch');
  return { ...requestOf('', checked), slot: true, waitsForCap: true };
}

/** Refuses what contradicts itself or the options; returns the limits that hold for it. */
function consistentLimits(
  {
    kind = 'agent',
    limits: own,
    maxWallClockMs,
  }: Pick<z.output<typeof spawnDefaults>, 'kind' | 'limits' | 'maxWallClockMs'>,
  rules: Rules,
  subject: string,
): ProcessLimits {
  const limits = mergeLimits(rules.limits, kind, own);
  assertConsistent(limits, subject);
  assertRemembered(maxWallClockMs, rules.session, subject);
  return limits;
}
