import type { DoctorReport } from '../inspect/report.ts';
import { type Clock, sleep } from '../os/clock.ts';

/** Between two looks, however many ask. */
const MIN_GAP_MS = 150;

/**
 * Lets all who ask share the looks: a look that began before somebody asked may have passed what they
 * want to see, so whoever asks during one shares the next.
 */
export function sharedReport(
  look: () => Promise<DoctorReport>,
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
    const taken = look();
    last = taken
      .catch(() => undefined)
      .then(() => {
        lastEndedMs = clock.monotonicMs();
      });
    return taken;
  };
  return () => {
    next ??= take();
    return next;
  };
}
