import * as z from 'zod/mini';
import { durationMs } from '../check.ts';
import { isSupervisorError } from '../errors.ts';
import type { ExitReport } from '../reports.ts';

/** As long as restarts are remembered in the state directory. */
const MAX_WINDOW_MS = 30 * 24 * 3_600_000;
/** Number of exits that a run remembers. */
export const ENDS_KEPT = 100;

/** @internal The options that decide when a run restarts its process. */
export const restartPolicy = z.lazy(() =>
  z
    .strictObject({
      maxRestarts: z._default(z.int().check(z.minimum(0)), 5),
      windowMs: z._default(durationMs().check(z.minimum(1), z.maximum(MAX_WINDOW_MS)), 600_000),
      backoffMs: z.optional(durationMs()),
      maxBackoffMs: z.optional(durationMs()),
      jitter: z._default(z.number().check(z.minimum(0), z.maximum(1)), 0.5),
      // The minimum is 2, since one crash alone is no series.
      sameCrashLimit: z._default(z.int().check(z.minimum(2), z.maximum(ENDS_KEPT)), 3),
    })
    .check(
      z.refine(
        ({ backoffMs, maxBackoffMs }) => (backoffMs ?? 0) <= (maxBackoffMs ?? Number.MAX_VALUE),
        { error: 'backoffMs must be at most maxBackoffMs', path: ['backoffMs'] },
      ),
    ),
);

/** The restart policy with all defaults filled in. */
export interface RestartPolicy {
  readonly maxRestarts: number;
  readonly windowMs: number;
  readonly backoffMs: number;
  readonly maxBackoffMs: number;
  readonly jitter: number;
  readonly sameCrashLimit: number;
}

/**
 * @internal Fills in the backoff's defaults; if only one bound is given, the other's default
 * adapts.
 */
export function withBackoff(policy: z.output<typeof restartPolicy>): RestartPolicy {
  const maxBackoffMs = policy.maxBackoffMs ?? Math.max(60_000, policy.backoffMs ?? 0);
  const backoffMs = policy.backoffMs ?? Math.min(1000, maxBackoffMs);
  return { ...policy, backoffMs, maxBackoffMs };
}

/**
 * The outcome of a run.
 *
 * `completed` and `intentional` describe the exit of its last process. `exhausted` means that it
 * crashed too often, `same-crash` that it kept crashing in the same way. `refused` means that its
 * process could not be started, `aborted` that the run itself was ended.
 */
export type RunOutcome =
  | 'completed'
  | 'intentional'
  | 'exhausted'
  | 'same-crash'
  | 'refused'
  | 'aborted';

/** The state of a run when one of its processes has exited. */
export interface RunHistory {
  /** The exits before this one, oldest first. */
  readonly ends: readonly ExitReport[];
  /** Earlier restarts, by this host or by others; wall clock, ms since 1970. */
  readonly restartedAt: readonly number[];
  /** Wall clock, ms since 1970. */
  readonly now: number;
  /** True if this host asked for the exit, by `kill` or `terminate`. */
  readonly asked: boolean;
  /** A random number, at least 0 and less than 1. */
  readonly random: number;
}

export type RestartDecision =
  | { readonly delayMs: number; readonly outcome?: never }
  | {
      readonly outcome: RunOutcome;
      /**
       * The process was ended from outside: everything else that belongs to the run ends with it.
       */
      readonly fromOutside?: boolean;
      readonly delayMs?: never;
    };

/** Decides whether a process is restarted after this exit, and when. */
export function decideRestart(
  report: ExitReport,
  { ends, restartedAt, now, asked, random }: RunHistory,
  policy: RestartPolicy,
): RestartDecision {
  const { cause, intentional, error } = report;
  if (cause === 'completed') return { outcome: 'completed' };
  // A request that was withdrawn before it had a slot is not refused.
  if (cause === 'not-started' && !intentional) {
    const isOver = isSupervisorError(error, 'ABORTED') || isSupervisorError(error, 'STOPPING');
    if (isOver) return { outcome: 'aborted' };
    // A program that never ran is more likely to be wrong than to be away.
    if (!isPassing(error) || !ends.some(hasRun)) return { outcome: 'refused' };
  } else if (intentional)
    return { outcome: 'intentional', fromOutside: cause === 'terminated' && !asked };

  if (hasRun(report) && countAlike([...ends, report], policy) >= policy.sameCrashLimit)
    return { outcome: 'same-crash' };
  const recent = countRecent(restartedAt, now, policy);
  if (recent >= policy.maxRestarts) return { outcome: 'exhausted' };
  return { delayMs: backoffAfter(recent, random, policy) };
}

const PASSING_CODES: readonly unknown[] = ['COMMAND_NOT_FOUND', 'HARD_CAP', 'SPAWN_RATE'];
/** Of the system: no room for one more process, and a program that is being written. */
const PASSING_ERRNOS: readonly unknown[] = ['EAGAIN', 'ETXTBSY'];

/** Tells whether a refusal may pass by itself, as while an updater replaces the program. */
function isPassing(error: unknown): boolean {
  if (!isSupervisorError(error)) return false;
  const { code } = (error.cause ?? {}) as { code?: unknown };
  return PASSING_CODES.includes(error.code) || PASSING_ERRNOS.includes(code);
}

function hasRun({ cause }: ExitReport): boolean {
  return cause !== 'not-started';
}

/**
 * Counts the restarts in the current window.
 *
 * A time stamp in the future comes from a clock that was set back, and counts as now.
 */
export function countRecent(
  restartedAt: readonly number[],
  now: number,
  { windowMs }: RestartPolicy,
): number {
  return restartedAt.filter((at) => now - at < windowMs).length;
}

/** The delay before the next restart, in ms. */
export function backoffAfter(
  recent: number,
  random: number,
  { backoffMs, maxBackoffMs, jitter }: RestartPolicy,
): number {
  // A higher power is infinite, and infinity times 0 is not a number.
  const fullMs = Math.min(maxBackoffMs, backoffMs * 2 ** Math.min(recent, 1000));
  return fullMs * (1 - jitter * random);
}

/**
 * Counts the last exits with the same signature. A process that ran for a whole window starts a new
 * series.
 */
export function countAlike(ends: readonly ExitReport[], { windowMs }: RestartPolicy): number {
  const crashes = ends.filter(hasRun);
  const last = crashes.at(-1);
  let count = 0;
  for (const end of crashes.toReversed()) {
    if (last === undefined || crashSignature(end) !== crashSignature(last)) break;
    count++;
    if (end.durationMs >= windowMs) break;
  }
  return count;
}

/**
 * Equal for two crashes with the same reason: code, signal, and last line of stderr without its
 * figures.
 */
export function crashSignature({ code, signal, stderrTail }: ExitReport): string {
  const line = stderrTail.trimEnd().split('\n').at(-1)?.trim() ?? '';
  return `${code} ${signal} ${line.replaceAll(FIGURES, '#')}`;
}

/** UUIDs, addresses and hashes, times and dates, pids and other numbers, in this order. */
const FIGURES =
  /\b[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}\b|\b0x[\da-f]+|\b(?=\d*[a-f])(?=[a-f]*\d)[\da-f]{6,}\b|\d+(?:[.,:/T-]\d+)*Z?/gi;
