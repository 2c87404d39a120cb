import type { Clock } from '../os/clock.ts';
import type { EndReport, ExitCause, ExitReport } from '../reports.ts';
import type { EndOptions } from './terminate.ts';

/** What can be ended. */
export interface Endable {
  end(cause: ExitCause, options: EndOptions, reason: string | undefined): Promise<EndReport>;
}

/**
 * Ends processes in reverse start order: each begins its way down the ladder before those that
 * started earlier, and all share one deadline.
 */
export async function endAll(
  inStartOrder: Iterable<Endable>,
  cause: ExitCause,
  {
    options = {},
    reason,
    clock,
  }: { options?: EndOptions; reason?: string | undefined; clock: Clock },
): Promise<EndReport> {
  const beganMs = clock.monotonicMs();
  const newestFirst = [...inStartOrder].reverse();
  const reports = await Promise.all(
    newestFirst.map((process) => process.end(cause, options, reason)),
  );
  return {
    ended: reports.flatMap((report): readonly ExitReport[] => report.ended),
    survivors: reports.flatMap((report) => report.survivors),
    unproven: reports.flatMap((report) => report.unproven),
    durationMs: clock.monotonicMs() - beganMs,
  };
}
