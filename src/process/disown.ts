import type { ExitReport } from '../reports.ts';
import type { ManagedProcess } from './managed-process.ts';
import type { Supervision } from './supervision.ts';

/** Most looks for processes that were forked while others were marked. */
const MAX_LOOKS = 20;

/**
 * Ends the supervision of a process, and leaves it and its tree alone from now on.
 *
 * Resolves to `false` for a process that does not run, or is being ended.
 */
export async function disown(s: Supervision, p: ManagedProcess): Promise<boolean> {
  if (p.state !== 'running') return false;
  p.disarm();
  p.registry.disown(p.record);
  s.live.delete(p.id);
  s.disowned.set(p.id, p);
  p.release();
  unref(p);
  const report = reportOf(s, p);
  p.letGo(report);
  s.emit('exited', report);
  await lowerTags(s, p);
  return true;
}

function reportOf(s: Supervision, p: ManagedProcess): ExitReport {
  return {
    ...p.subject,
    pid: p.record.pid,
    code: null,
    signal: null,
    cause: 'disowned',
    intentional: true,
    forced: false,
    durationMs: s.os.clock.monotonicMs() - p.startedAtMs,
    pausedMs: p.gaps.pausedMs,
    stderrTail: '',
    leftovers: [],
  };
}

/** A host that has nothing else to do exits, and does not wait for it. */
function unref({ child }: ManagedProcess): void {
  child?.unref();
  for (const stream of [child?.stdin, child?.stdout, child?.stderr])
    (stream as { unref?(): void } | null | undefined)?.unref?.();
}

/**
 * Lowers the tags of the whole tree to ones that mean *kept*.
 *
 * Supervisors above, and hosts that know no list, then leave it alone, too. What is marked so belongs to
 * the tree no more.
 */
async function lowerTags(
  { os }: Supervision,
  { id, tree, registry }: ManagedProcess,
): Promise<void> {
  const { of: limitsOf, lower } = os.rlimits ?? {};
  if (limitsOf === undefined || lower === undefined) return;
  const done = new Set<string>();
  for (let look = 0; look < MAX_LOOKS; look++) {
    const members = (await tree.liveMembers()).filter(({ pid, startTime }) => {
      const isNew = !done.has(`${pid} ${startTime}`);
      done.add(`${pid} ${startTime}`);
      return isNew;
    });
    if (members.length === 0) return;
    await Promise.all(
      members
        .filter((member) => tree.isAlive(member))
        .map(({ pid }) => lower(pid, registry.limitsOfDisowned(limitsOf(pid), id))),
    );
  }
}
