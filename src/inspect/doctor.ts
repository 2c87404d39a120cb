import { join } from 'node:path';
import { removeStaleFiles } from '../containment/stale-files.ts';
import type { Supervisor } from '../index.ts';
import { bundledPackages, packageVersion } from '../os/built.ts';
import { sliced, turnOfLoop } from '../os/clock.ts';
import { hostFacts, type Usage } from '../os/host-facts.ts';
import { COOKIE_VARIABLE, type Os } from '../os/os.ts';
import { removeOldRestarts } from '../store/restart-log.ts';
import { observeClock } from '../store/retention.ts';
import type {
  ResolvedOptions,
  SupervisorInternals,
  SupervisorSnapshot,
} from '../supervisor/internals.ts';
import { depthOf } from '../tree/cookie.ts';
import type { Owner } from '../tree/identity.ts';
import { type Findings, judge } from './checks.ts';
import { lastEnds } from './ends.ts';
import { environmentHealth } from './environment.ts';
import { machineSlotsHealth } from './machine-slots.ts';
import { poolFigures } from './metrics.ts';
import { ownersHealth, processesHealth } from './processes.ts';
import { type PublicText, publicText } from './public-text.ts';
import type { DoctorReport, HostHealth, PoolHealth, Quota, SupervisorHealth } from './report.ts';
import { servicesHealth } from './services.ts';
import { sessionsHealth } from './sessions.ts';
import { stateDirHealth } from './state-dir.ts';
import { type Survey, survey } from './survey.ts';

/** @internal The state directory to examine, with the supervisor inside whose host it is done. */
export interface DoctorTarget {
  readonly os: Os;
  readonly stateDir: string;
  readonly options: ResolvedOptions;
  /** `undefined` from outside the host. */
  readonly inside: SupervisorInternals | undefined;
}

/**
 * Reports on the host, its supervisor and its state directory, with a check of each part.
 *
 * It starts, ends and changes nothing.
 *
 * @throws Error by rejection, if the process table cannot be read
 */
export function doctor(supervisor: Supervisor): Promise<DoctorReport> {
  const inside = supervisor.internals;
  const { os, stateDir } = inside;
  return examine({ os, stateDir, options: inside.snapshot().options, inside });
}

/** @internal Makes the report from inside a host, or from a process outside all hosts. */
export async function examine(target: DoctorTarget): Promise<DoctorReport> {
  const { clock } = target.os;
  const beganMs = clock.monotonicMs();
  const findings = await collect(target);
  const { checks, status } = judge(findings);
  const { isInit, zombies, clockJumpMs, stale, unproven, survivors, ...report } = findings;
  return { version: 1, status, checks, tookMs: clock.monotonicMs() - beganMs, ...report };
}

async function collect(target: DoctorTarget): Promise<Findings> {
  const { os, stateDir, options, inside } = target;
  const snapshot = inside?.snapshot();
  const show = publicText(os);
  const self = await selfOf(target, snapshot);
  const found = await survey({ os, stateDir, self, ownTree: (id) => inside?.live.get(id)?.tree });
  const records = found.owners.flatMap((owner) => owner.records);
  const members = records.flatMap((one) => one.members);
  const usage = await os.sample([...new Set(members.map(({ pid }) => pid))]);
  const live = countLive(found);
  const { session } = options;
  const { bootId } = self;
  const sessions = await sessionsHealth({
    ...{ os, stateDir, bootId, options: session, live, publicText: show },
  });
  await turnOfLoop();
  const facts = hostFacts();
  const shownPath = show(withoutHome(stateDir, facts.home));
  const nowMs = os.clock.now();
  const processes = await processesHealth(found, {
    ...{ nowMs, usage, sessions, publicText: show, rest: sliced(os.clock) },
    live: (id) => inside?.live.get(id),
  });
  const files = await stateDirHealth(os, stateDir, shownPath, show);
  const stale = await staleFiles(target, self);
  await turnOfLoop();
  return {
    at: nowMs,
    host: hostHealth(os, options, facts, show),
    supervisor: snapshot === undefined ? null : supervisorHealth(snapshot, os, show),
    owners: ownersHealth(found, show),
    processes,
    sessions: [...sessions.values()].sort((a, b) => b.live - a.live || b.createdAt - a.createdAt),
    machineSlots: machineSlotsHealth(found, { os, stateDir, self }, show),
    services: servicesHealth(os, stateDir, inside?.services ?? new Map(), show),
    stateDir: files,
    environment: environmentHealth(os, options.environment),
    ends: lastEnds(os, stateDir, show),
    isInit: inside !== undefined && os.platform === 'linux' && self.pid === 1,
    zombies: [...found.table.values()].filter(({ alive, ppid }) => !alive && ppid === self.pid)
      .length,
    clockJumpMs: snapshot?.clockJumpMs ?? null,
    stale,
    unproven: found.unproven.map(({ reason }) => show(reason.replaceAll(join(stateDir, '/'), ''))),
    survivors: [...(inside?.live.values() ?? [])]
      .filter(({ survived }) => survived)
      .map(({ record }) => show(`${record.command}, pid ${record.pid}`)),
  };
}

/** The identity of this process. A registry that is not open stays closed. */
async function selfOf(
  { os, inside }: DoctorTarget,
  snapshot: SupervisorSnapshot | undefined,
): Promise<Owner> {
  if (inside !== undefined && snapshot?.instance !== undefined && snapshot.state === 'running')
    return (await inside.recovery()).self;
  const identity = (await os.identifyAsync?.()) ?? os.identify();
  return { ...identity, instance: snapshot?.instance ?? '' };
}

/** Counts the live processes of each session, of all hosts. */
function countLive({ owners }: Survey): Map<string, number> {
  const live = new Map<string, number>();
  for (const { record, identity, members } of owners.flatMap(({ records }) => records)) {
    if (record.sessionId === undefined) continue;
    if (identity !== 'alive' && members.length === 0) continue;
    live.set(record.sessionId, (live.get(record.sessionId) ?? 0) + 1);
  }
  return live;
}

/** Lists the files that a sweep would remove. */
async function staleFiles({ os, stateDir, options }: DoctorTarget, self: Owner): Promise<string[]> {
  const context = { os, stateDir, self, ladder: options.ladder, dryRun: true };
  try {
    const retention = observeClock({ ...context, bootId: self.bootId });
    return [...(await removeStaleFiles(context)), ...removeOldRestarts(context, retention)];
  } catch {
    // The folder is missing or cannot be read; the check "state-dir" says so.
    return [];
  }
}

function supervisorHealth(
  snapshot: SupervisorSnapshot,
  os: Os,
  show: PublicText,
): SupervisorHealth {
  const { pool, countedByCap, guardian, rlimitTag, instance, state, spentUsd } = snapshot;
  return {
    instance: instance ?? null,
    state,
    pool: {
      ...poolFigures(snapshot),
      ...poolDetails(pool, os, show),
      live: countedByCap,
      hardCap: pool.size.hardCap,
    },
    guardian: { state: guardian?.state ?? 'closed', pid: guardian?.pid ?? null },
    rlimitTag: rlimitTag ? { limit: rlimitTag.limit, reason: rlimitTag.reason ?? null } : null,
    spentUsd,
  };
}

/** Describes the waiting requests, the pause and the keys. */
function poolDetails(
  { queue, paused, keys }: SupervisorSnapshot['pool'],
  os: Os,
  show: PublicText,
): Pick<PoolHealth, 'queue' | 'paused' | 'keys'> {
  const shown = (text: string | undefined) => (text === undefined ? null : show(text));
  const nowMs = os.clock.monotonicMs();
  return {
    paused:
      paused === undefined
        ? null
        : { reason: show(paused.reason), since: paused.since, until: paused.until ?? null },
    queue: queue.map(({ request, sinceMs, waitsFor }) => ({
      sessionId: shown(request.sessionId),
      kind: shown(request.kind),
      priority: request.priority,
      keys: (request.keys ?? []).map(show),
      waitedMs: nowMs - sinceMs,
      waitsFor: { cause: waitsFor.cause, name: shown(waitsFor.name) },
    })),
    keys: Array.from(keys, ({ waitsFor, held, limit }) => ({
      key: show(waitsFor.name ?? ''),
      running: held,
      limit: Number.isFinite(limit) ? limit : null,
    })),
  };
}

function hostHealth(
  os: Os,
  { maxDepth }: ResolvedOptions,
  facts: ReturnType<typeof hostFacts>,
  show: PublicText,
): HostHealth {
  const { pid, machine } = os.identify();
  const { arch, runtime, runtimeVersion, rssBytes } = facts;
  return {
    pid,
    machine: show(machine),
    platform: os.platform,
    ...{ arch, runtime, runtimeVersion, packageVersion: packageVersion(), rssBytes },
    bundled: bundledPackages().map(({ name, version }) => ({ name, version })),
    depth: depthOf(os.environment()[COOKIE_VARIABLE]),
    maxDepth,
    openFiles: quotaOf(facts.openFiles),
    tasks: quotaOf(facts.tasks),
  };
}

function quotaOf(usage: Usage | undefined): Quota | null {
  return usage === undefined ? null : { used: usage.used, limit: usage.limit ?? null };
}

function withoutHome(path: string, home: string): string {
  return home.length > 1 && path.startsWith(join(home, '/'))
    ? join('~', path.slice(home.length))
    : path;
}
