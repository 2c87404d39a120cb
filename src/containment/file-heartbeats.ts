import type { Os } from '../os/os.ts';
import { FailureDetector } from './failure-detector.ts';
import { Heartbeat } from './heartbeat.ts';

const detectors = new Map<string, FailureDetector>();

/** Makes the heartbeat that a lock or a pid file names; `undefined` on systems without heartbeats. */
export function heartbeatIn(folder: string, id: string, os: Os): Heartbeat | undefined {
  const { heartbeat: times } = os;
  if (times === undefined) return undefined;
  return new Heartbeat({
    ...{ os, times, folder, id },
    graceMs: 0,
    isNeeded: () => true,
    // Another process holds the lock or pid file by then, and the next caller finds it there.
    givenUp: () => undefined,
    warn: () => undefined,
  });
}

/** Returns the detector that watches the heartbeats of a folder for this process. */
export function detectorOf(os: Os, folder: string): FailureDetector {
  const detector = detectors.get(folder) ?? new FailureDetector(os, folder);
  detectors.set(folder, detector);
  return detector;
}
