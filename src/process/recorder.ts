import type { SupervisorEvent, SupervisorEvents } from '../events.ts';
import type { ManagedProcess } from './managed-process.ts';

type On = <E extends SupervisorEvent>(
  event: E,
  listener: (detail: SupervisorEvents[E]) => void,
) => unknown;

/**
 * Records every start and exit in the history and in the sessions' files.
 *
 * Attach it before any listener of the host: the records are written by the time the host's listener runs.
 */
export function recordProcesses(on: On, live: ReadonlyMap<string, ManagedProcess>): void {
  const running = new Map<string, ManagedProcess>();
  const begin = ({ id }: { readonly id: string }): void => {
    const process = live.get(id);
    if (process === undefined) return;
    running.set(id, process);
    const { registry, record, session } = process;
    session?.started();
    // No promise hangs on this line: the caller gets its handle first.
    queueMicrotask(() => registry.history.started(registry.owner.instance, record));
  };
  on('started', begin);
  on('adopted', begin);
  on('exited', (report) => {
    const process = running.get(report.id);
    running.delete(report.id);
    if (process === undefined || process.isForfeit) return;
    const { registry, record, session } = process;
    session?.ended(report.cause);
    registry.history.ended(registry.owner.instance, record, report);
  });
}
