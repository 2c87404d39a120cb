import * as z from 'zod/mini';
import { durationMs } from '../check.ts';

/** @internal */
export const ladderOptions = z.lazy(() =>
  z.prefault(
    z.strictObject({
      stdinEofMs: z._default(durationMs(), 2000),
      termMs: z._default(durationMs(), 5000),
      killMs: z._default(durationMs(), 1000),
    }),
    {},
  ),
);

/** How long each step waits for the tree to die. */
export interface LadderOptions {
  readonly stdinEofMs: number;
  readonly termMs: number;
  readonly killMs: number;
}

export interface LadderStep {
  readonly send: 'stdin-eof' | 'SIGTERM' | 'SIGKILL';
  /** When the step is over, counted from the start of the ladder. */
  readonly untilMs: number;
}

/** What the plan depends on besides the options. */
export interface LadderSituation {
  /** The process itself still runs, with a stdin that can be ended. */
  readonly stdin: boolean;
  /** Whether the system has a polite signal (Windows: stdin EOF is the only polite step). */
  readonly politeSignals: boolean;
  /** How much earlier stdin had ended already; its wait is shorter by that. */
  readonly stdinEndedForMs?: number;
  /** No polite steps at all. */
  readonly force?: boolean;
  /** All steps together take no longer than this; the polite ones give way, stdin's first. */
  readonly deadlineMs?: number | undefined;
}

/** Plans the ladder: which steps, and until when each may take. */
export function planLadder(options: LadderOptions, situation: LadderSituation): LadderStep[] {
  const { stdin, politeSignals, stdinEndedForMs = 0, force = false, deadlineMs } = situation;
  const wanted = {
    eofMs: stdin && !force ? Math.max(0, options.stdinEofMs - stdinEndedForMs) : 0,
    termMs: politeSignals && !force ? options.termMs : 0,
  };
  const politeMs =
    deadlineMs === undefined
      ? wanted.eofMs + wanted.termMs
      : Math.max(0, Math.min(wanted.eofMs + wanted.termMs, deadlineMs - options.killMs));
  const termMs = Math.min(wanted.termMs, politeMs);
  const killMs = Math.min(options.killMs, deadlineMs ?? options.killMs);

  const steps: LadderStep[] = [];
  if (stdin && !force) steps.push({ send: 'stdin-eof', untilMs: politeMs - termMs });
  if (politeSignals && !force) steps.push({ send: 'SIGTERM', untilMs: politeMs });
  steps.push({ send: 'SIGKILL', untilMs: politeMs + killMs });
  return steps;
}
