import * as z from 'zod/mini';
import { durationMs, systemText } from '../check.ts';
import type { ProcessName } from '../reports.ts';
import { CLEANUP_NAME } from '../store/formats.ts';
import { STOP_SIGNALS, type StopSignal } from '../tree/ladder.ts';

/** The fate of a descendant that outlives its process. */
export type LeftoverAction = 'terminate' | 'keep';
/** A fate for all leftovers, or a function that chooses one for each. */
export type LeftoverRule = LeftoverAction | ((process: ProcessName) => LeftoverAction);

const DEFAULT_CLEANUP_MS = 10_000;

const command = () => ({
  command: systemText().check(z.minLength(1)),
  args: z.optional(z.readonly(z.array(systemText()))),
  timeoutMs: z._default(durationMs(), DEFAULT_CLEANUP_MS),
});

const cleanupName = () =>
  z.string().check(z.regex(CLEANUP_NAME, 'must be a name of letters, digits, ".", "_" and "-"'));

const cleanupSchema = z.lazy(() => z.strictObject({ name: cleanupName(), ...command() }));

/** @internal The result of a function in `cleanups`. */
export const cleanupCommand = z.lazy(() => z.strictObject(command()));

/** @internal */
export const cleanupsOption = z.lazy(() =>
  z._default(
    z.record(
      cleanupName(),
      z.union(
        [
          z.strictObject(command()),
          z.custom<(process: DeadProcess) => Omit<Cleanup, 'name'>>(
            (value) => typeof value === 'function',
          ),
        ],
        { error: 'must be a command with its args, or a function that returns them' },
      ),
    ),
    {},
  ),
);

/** @internal The checked option `cleanups`. */
export type RegisteredCleanups = z.output<typeof cleanupsOption>;

/** A command that removes what a process leaves outside its tree, such as a container. */
export interface Cleanup {
  /** The only part that is written to disk; another host needs it to find its own `cleanups[name]`. */
  name: string;
  command: string;
  args?: readonly string[] | undefined;
  /** Longest time that it may take, in ms; then it is ended. @default 10_000 */
  timeoutMs?: number | undefined;
}

/** A process of a dead host that a cleanup is for. */
export interface DeadProcess {
  readonly id: string;
  readonly pid: number;
  readonly command: string;
  readonly kind: string;
  readonly sessionId: string | undefined;
  readonly cwd: string;
  /** Wall clock, ms since 1970. */
  readonly startedAt: number;
}

/** The way in which a process and its tree end. */
export interface EndingOptions {
  /** Times of the ladder, in ms. Default for each: the supervisor's. */
  ladder?:
    | {
        stdinEofMs?: number | undefined;
        termMs?: number | undefined;
        killMs?: number | undefined;
      }
    | undefined;
  /** The polite signal of the ladder. @default 'SIGTERM' */
  stopSignal?: StopSignal | undefined;
  /**
   * The process that hears the polite signal first.
   *
   * With `leader`, the process itself has `termMs` while its descendants live, and they have `termMs` after
   * that. @default 'tree'
   */
  signalFirst?: 'leader' | 'tree' | undefined;
  /**
   * Rule for descendants that outlive the process, for all of them or for each.
   *
   * When the host dies, all are ended. Default: the supervisor's `leftovers`.
   */
  leftovers?: LeftoverRule | undefined;
  /** Time for leftovers to finish by themselves before they are ended, in ms. @default 0 */
  leftoversGraceMs?: number | undefined;
  /**
   * Command to run when the process and its tree are dead, at least once.
   *
   * If the host is dead by then, its guardian runs it. The slot is held until it is done.
   */
  cleanup?: Cleanup | undefined;
}

const leftoverFunction = () =>
  z.custom<Exclude<LeftoverRule, string>>((value) => typeof value === 'function');

/** @internal The fields of a request that say how its process ends. */
export const endingFields = () => ({
  ladder: z.optional(
    z.strictObject({
      stdinEofMs: z.optional(durationMs()),
      termMs: z.optional(durationMs()),
      killMs: z.optional(durationMs()),
    }),
  ),
  stopSignal: z.optional(z.enum(STOP_SIGNALS)),
  signalFirst: z.optional(z.enum(['leader', 'tree'])),
  leftovers: z.optional(
    z.union([z.enum(['terminate', 'keep']), leftoverFunction()], {
      error: "must be 'terminate', 'keep', or a function that returns one of them",
    }),
  ),
  leftoversGraceMs: z.optional(durationMs()),
  cleanup: z.optional(cleanupSchema),
});
