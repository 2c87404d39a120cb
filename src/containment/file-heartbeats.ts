import type { Os } from '../os/os.ts';
import { FailureDetector } from './failure-detector.ts';
import { Heartbeat } from './heartbeat.ts';

const detectors = new Map<string, FailureDetector>();

/** Makes a heartbeat beside a lock or a pid file that names it; `undefined` where the system has none. */
export function heartbeatIn(folder: string, id: string, os: Os): Heartbeat | undefined {
  const { heartbeat: times } = os;
  if (times === undefined) return undefined;
  return new Heartbeat({
    ...{ os, times, folder, id },
    graceMs: 0,
    isNeeded: () => true,
    // By now others hold what the file named, and its next reader finds them there.
    givenUp: () => undefined,
    warn: () => undefined,
  });
}

/** Returns the failure detector of a folder; one for this process. */
export function detectorOf(os: Os, folder: string): FailureDetector {
  const detector = detectors.get(folder) ?? new FailureDetector(os, folder);
  detectors.set(folder, detector);
  return detector;
}
