import type { ProcessName } from '../index.ts';
import type { ProcessEntry, Usage } from '../os/os.ts';
import type { ManagedProcess } from '../process/managed-process.ts';
import type { PublicText } from './public-text.ts';
import type { OwnerHealth, ProcessHealth, SessionHealth } from './report.ts';
import type { Survey, SurveyedRecord } from './survey.ts';

export interface ProcessesContext {
  /** Wall clock, ms since 1970. */
  readonly nowMs: number;
  readonly usage: ReadonlyMap<number, Usage>;
  /** Keyed by the raw session id, which may hold a secret. */
  readonly sessions: ReadonlyMap<string, SessionHealth>;
  readonly publicText: PublicText;
  /** Yields to the event loop now and then. */
  readonly rest: () => Promise<void> | undefined;
  live(id: string): ManagedProcess | undefined;
}

/** Lists the owners of journals in the state directory. */
export function ownersHealth({ owners }: Survey, publicText: PublicText): OwnerHealth[] {
  return owners.map(({ owner, openedAt, verdict, records }) => ({
    instance: owner.instance,
    pid: owner.pid,
    machine: publicText(owner.machine),
    verdict,
    openedAt,
    processes: records.length,
  }));
}

/** Lists all recorded processes with memory and CPU of their trees, oldest first. */
export async function processesHealth(
  { owners }: Survey,
  context: ProcessesContext,
): Promise<ProcessHealth[]> {
  const shown: ProcessHealth[] = [];
  for (const { verdict, records } of owners)
    for (const one of records) {
      shown.push(processHealth(one, verdict === 'ours', context));
      await context.rest();
    }
  return shown.sort((a, b) => a.startedAt - b.startedAt);
}

function processHealth(
  { owner, record, identity, members }: SurveyedRecord,
  isOwn: boolean,
  { nowMs, usage, sessions, publicText, live: find }: ProcessesContext,
): ProcessHealth {
  const { id, pid, kind, sessionId, command, keys, startedAt } = record;
  const { outlivesHost = false, disowned = false, cleanup = null } = record;
  const live = isOwn ? find(id) : undefined;
  const { state, holdsSlot } = live?.describe() ?? {};
  const ageMs = Math.max(0, nowMs - startedAt);
  const lifetimeMs = live?.limits?.lifetimeMs ?? null;
  const runningMs = ageMs - (live?.gaps.pausedMs ?? 0);
  const total = (part: (of: Usage) => number): number | null => {
    const measured = members.flatMap((member) => usage.get(member.pid) ?? []);
    return measured.length === 0 ? null : measured.reduce((sum, one) => sum + part(one), 0);
  };
  return {
    id,
    owner,
    pid,
    command: publicText(command),
    kind: publicText(kind),
    sessionId: sessionId === undefined ? null : publicText(sessionId),
    identity,
    state: disowned ? 'disowned' : (state ?? null),
    holdsSlot: holdsSlot ?? null,
    keys: (keys ?? []).map(publicText),
    outlivesHost,
    disowned,
    cleanup: cleanup === null ? null : publicText(cleanup),
    startedAt,
    ageMs,
    cpuPercent: total((of) => of.cpuPercent),
    rssBytes: total((of) => of.rssBytes),
    descendants: descendantsOf(pid, members, publicText),
    limits: live?.limits ?? null,
    lifetimeLeftMs: lifetimeMs === null ? null : Math.max(0, lifetimeMs - runningMs),
    sessionLeftMs: sessions.get(sessionId ?? '')?.leftMs ?? null,
  };
}

/** Lists the members below the root by pid, so that parents mostly come first. */
function descendantsOf(
  root: number,
  members: readonly ProcessEntry[],
  publicText: PublicText,
): (ProcessName & { ppid: number })[] {
  return members
    .filter(({ pid }) => pid !== root)
    .sort((a, b) => a.pid - b.pid)
    .map(({ pid, ppid, command }) => ({ pid, ppid, command: publicText(command) }));
}
