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

/** The signals that may ask a tree to end, beside SIGTERM; SIGKILL ends the ladder in any case. */
export const STOP_SIGNALS = [
  ...(['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGABRT'] as const),
  ...(['SIGUSR1', 'SIGUSR2', 'SIGWINCH'] as const),
] as const;

/** A polite signal that asks a tree to end. */
export type StopSignal = (typeof STOP_SIGNALS)[number];

/** The longest wait of each step, in ms, for the tree to exit. */
export interface LadderOptions {
  readonly stdinEofMs: number;
  readonly termMs: number;
  readonly killMs: number;
  /** Sent instead of SIGTERM. */
  readonly stopSignal?: StopSignal | undefined;
  /** `leader`: the process itself is signalled before its descendants, and has as long as they have. */
  readonly signalFirst?: 'leader' | 'tree' | undefined;
}

export interface LadderStep {
  /** `SIGTERM` stands for the stop signal of the tree. */
  readonly send: 'stdin-eof' | 'SIGTERM' | 'SIGKILL';
  /** Only the process itself is signalled. */
  readonly leaderOnly?: true;
  /** End of the step, in ms from the start of the ladder. */
  readonly untilMs: number;
}

/** The facts that a plan depends on, besides the options. */
export interface LadderSituation {
  /** The process is still running: its stdin can be ended, and it can be signalled first. */
  readonly stdin: boolean;
  /** True if the system has a polite signal; on Windows stdin EOF is the only polite step. */
  readonly politeSignals: boolean;
  /** Time since stdin ended, in ms; it counts towards the wait for stdin. */
  readonly stdinEndedForMs?: number;
  /** Skips the polite steps. */
  readonly force?: boolean;
  /** Longest time for all steps together; shortens the polite ones, that for stdin first. */
  readonly deadlineMs?: number | undefined;
}

/** Plans the ladder: its steps and the end of each. */
export function planLadder(options: LadderOptions, situation: LadderSituation): LadderStep[] {
  const { stdin, politeSignals, stdinEndedForMs = 0, force = false, deadlineMs } = situation;
  const wanted = {
    eofMs: stdin && !force ? Math.max(0, options.stdinEofMs - stdinEndedForMs) : 0,
    termMs: politeSignals && !force ? options.termMs : 0,
  };
  const leaderFirst = options.signalFirst === 'leader' && stdin && politeSignals && !force;
  const wantedMs = wanted.eofMs + wanted.termMs + (leaderFirst ? wanted.termMs : 0);
  const politeMs =
    deadlineMs === undefined
      ? wantedMs
      : Math.max(0, Math.min(wantedMs, deadlineMs - options.killMs));
  const termMs = Math.min(wanted.termMs, politeMs);
  const leaderMs = leaderFirst ? Math.min(wanted.termMs, politeMs - termMs) : 0;
  const killMs = Math.min(options.killMs, deadlineMs ?? options.killMs);

  const steps: LadderStep[] = [];
  if (stdin && !force) steps.push({ send: 'stdin-eof', untilMs: politeMs - leaderMs - termMs });
  if (leaderFirst) steps.push({ send: 'SIGTERM', leaderOnly: true, untilMs: politeMs - termMs });
  if (politeSignals && !force) steps.push({ send: 'SIGTERM', untilMs: politeMs });
  steps.push({ send: 'SIGKILL', untilMs: politeMs + killMs });
  return steps;
}
