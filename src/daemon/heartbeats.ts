import type { HeartbeatTimes, Os } from '../os/os.ts';
import { FailureDetector } from '../ownership/failure-detector.ts';
import { Heartbeat } from '../ownership/heartbeat.ts';

/** One per folder, for as long as this process holds a lock or a pid file there. */
const beating = new Map<string, { readonly heartbeat: Heartbeat; users: number }>();
const detectors = new Map<string, FailureDetector>();

/** A share in this process's heartbeat in a folder. */
export interface HeldHeartbeat {
  /** Names it in a lock or a pid file; `undefined` where it cannot be written, and shows nothing. */
  readonly id: string | undefined;
  release(): void;
}

/** Shows those who see the locks and pid files of a folder from elsewhere that this process lives. */
export function holdHeartbeat(os: Os, folder: string): HeldHeartbeat {
  const { heartbeat: times } = os;
  if (times === undefined) return { id: undefined, release: () => undefined };
  const entry = beating.get(folder) ?? { heartbeat: begin(os, folder, times), users: 0 };
  entry.users++;
  beating.set(folder, entry);
  let isHeld = true;
  return {
    id: entry.heartbeat.isShown ? entry.heartbeat.id : undefined,
    release() {
      if (!isHeld) return;
      isHeld = false;
      if (--entry.users > 0) return;
      beating.delete(folder);
      entry.heartbeat.close();
    },
  };
}

function begin(os: Os, folder: string, times: HeartbeatTimes): Heartbeat {
  const heartbeat = new Heartbeat({
    os,
    times,
    folder,
    graceMs: 0,
    isNeeded: () => true,
    // Others hold by now what it named: whoever asks for it next finds them there.
    givenUp: () => undefined,
    warn: () => undefined,
  });
  heartbeat.open();
  return heartbeat;
}

/** Who watches the heartbeats of a folder for this process. */
export function detectorOf(os: Os, folder: string): FailureDetector {
  const detector = detectors.get(folder) ?? new FailureDetector(os, folder);
  detectors.set(folder, detector);
  return detector;
}
