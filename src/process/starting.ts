import type { ManagedProcess } from './managed-process.ts';
import type { Supervision } from './supervision.ts';

/** Longest time for which a process counts as starting: the Agent SDK's `startup()` waits as long. */
const MAX_STARTING_MS = 60_000;

/**
 * Bounds the time for which a process counts as starting, where starts of its kind are bounded.
 *
 * Returns a function to call at its first output. Without output to see, it has started at once; a
 * service has when it is ready.
 */
export function watchStart({ os }: Supervision, p: ManagedProcess): (() => void) | undefined {
  const { slot, child, request } = p;
  if (slot === undefined || child === undefined || !slot.isStarting) return undefined;
  const hasOutput =
    child.stdout !== null || (child.stderr !== null && request.output === undefined);
  if (!hasOutput && !request.tellsReady) {
    slot.started();
    return undefined;
  }
  const cancel = os.clock.running.after(MAX_STARTING_MS, () => slot.started());
  const started = (): void => {
    cancel();
    slot.started();
  };
  child.once('exit', started);
  return request.tellsReady ? undefined : started;
}
