import { FailureDetector } from '../containment/failure-detector.ts';
import { Heartbeat } from '../containment/heartbeat.ts';
import type { Os } from '../os/os.ts';

const detectors = new Map<string, FailureDetector>();

/** Makes a heartbeat beside a lock or a pid file that names it; `undefined` where there is none. */
export function heartbeatIn(folder: string, id: string, os: Os): Heartbeat | undefined {
  const { heartbeat: times } = os;
  if (times === undefined) return undefined;
  return new Heartbeat({
    ...{ os, times, folder, id },
    graceMs: 0,
    isNeeded: () => true,
    // Others hold by now what it named: whoever asks for it next finds them there.
    givenUp: () => undefined,
    warn: () => undefined,
  });
}

/** Who watches the heartbeats of a folder for this process. */
export function detectorOf(os: Os, folder: string): FailureDetector {
  const detector = detectors.get(folder) ?? new FailureDetector(os, folder);
  detectors.set(folder, detector);
  return detector;
}
