import type { DoctorReport } from '../inspect/report.ts';
import { type Clock, sleep } from '../os/clock.ts';

/** Shortest time between two reports, so that many clients cost no more than one. */
const MIN_GAP_MS = 150;

/**
 * Shares reports between requests. A request during a running report gets the next one: the running
 * report may miss a change that its sender has already seen.
 */
export function sharedReport(
  makeReport: () => Promise<DoctorReport>,
  clock: Clock,
): () => Promise<DoctorReport> {
  let last: Promise<unknown> = Promise.resolve();
  let lastEndedMs = Number.NEGATIVE_INFINITY;
  let next: Promise<DoctorReport> | undefined;
  const take = async (): Promise<DoctorReport> => {
    await last;
    const waitMs = lastEndedMs + MIN_GAP_MS - clock.monotonicMs();
    if (waitMs > 0) await sleep(waitMs, clock);
    next = undefined;
    const report = makeReport();
    last = report
      .catch(() => undefined)
      .then(() => {
        lastEndedMs = clock.monotonicMs();
      });
    return report;
  };
  return () => {
    next ??= take();
    return next;
  };
}
