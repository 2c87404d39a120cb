import type { ExitReport } from '../index.ts';
import type { Clock } from '../os/clock.ts';
import type { Breaker } from '../policy/breaker.ts';
import {
  backoffAfter,
  countAlike,
  countRecent,
  ENDS_KEPT,
  type RestartPolicy,
} from '../policy/restart-policy.ts';
import type { RestartBudget } from '../store/restart-log.ts';

/** The delay of the next start: a backoff, or the time until the breaker closes and why it opened. */
export type RestartDelay =
  | { readonly delayMs: number; readonly openForMs?: never }
  | { readonly openForMs: number; readonly why: string; readonly delayMs?: never };

export interface PacerContext {
  readonly clock: Clock;
  readonly policy: RestartPolicy;
  readonly breaker: Breaker;
  /** The restarts of all hosts. */
  readonly budget: RestartBudget;
  random(): number;
}

/** Counts the ends of a service and says when it may be started again. */
export class RestartPacer {
  readonly #context: PacerContext;
  readonly #ends: ExitReport[] = [];

  constructor(context: PacerContext) {
    this.#context = context;
  }

  /** Counts an end, or a start that failed; `isFailure`: it has not worked for long enough to be none. */
  count(report: ExitReport | undefined, isFailure: boolean): RestartDelay {
    const { clock, policy, breaker, budget, random } = this.#context;
    const now = clock.now();
    budget.add(now);
    const restartedAt = budget.read();
    const recent = countRecent(restartedAt, now, policy);
    if (!isFailure) breaker.reset();
    const openForMs = isFailure ? breaker.fail() : 0;
    if (recent > policy.maxRestarts) {
      const why = `it was to be started again ${recent} times within ${policy.windowMs} ms`;
      return { openForMs: breaker.open(this.#roomInMs(restartedAt, now)), why };
    }
    if (report !== undefined && this.#isLikeTheOthers(report))
      return { openForMs: breaker.open(), why: 'it fails alike each time' };
    if (openForMs > 0) return { openForMs, why: 'it has failed too often in a row' };
    return { delayMs: backoffAfter(recent - 1, random(), policy) };
  }

  /** The time until there are few enough restarts in the window again. */
  #roomInMs(restartedAt: readonly number[], now: number): number {
    const { maxRestarts, windowMs } = this.#context.policy;
    const newest = restartedAt.map((at) => Math.min(at, now)).sort((a, b) => b - a);
    const inTheWay = newest[maxRestarts] ?? now;
    return inTheWay + windowMs - now;
  }

  #isLikeTheOthers(report: ExitReport): boolean {
    const { policy } = this.#context;
    this.#ends.push(report);
    if (this.#ends.length > ENDS_KEPT) this.#ends.shift();
    return countAlike(this.#ends, policy) >= policy.sameCrashLimit;
  }
}
