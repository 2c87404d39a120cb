import type { Usage } from '../os/os.ts';
import type { ProcessInspection, ProcessName } from '../reports.ts';
import type { ManagedProcess } from './managed-process.ts';

const NO_USAGE: Usage = { rssBytes: 0, cpuPercent: 0, cpuTimeMs: 0 };

/** Describes a process with the memory and CPU use of its tree, from a sample of the members. */
export function inspectProcess(
  process: Pick<ManagedProcess, 'describe' | 'record' | 'startedAtMs'>,
  members: readonly ProcessName[],
  { usage, nowMs }: { usage: ReadonlyMap<number, Usage>; nowMs: number },
): ProcessInspection {
  const total = (part: (of: Usage) => number): number =>
    members.reduce((sum, { pid }) => sum + part(usage.get(pid) ?? NO_USAGE), 0);
  return {
    ...process.describe(),
    ageMs: nowMs - process.startedAtMs,
    descendants: members
      .filter(({ pid }) => pid !== process.record.pid)
      .map(({ pid, command }) => ({ pid, command })),
    rssBytes: total((of) => of.rssBytes),
    cpuPercent: total((of) => of.cpuPercent),
  };
}
