// What must hold at every moment, each a function of what is seen from outside.
import { isAlive } from '../kit/process-table.ts';
import { CONCURRENCY, type Host, LADDER, SWEEP_MS } from './host-process.ts';
import { PLACES } from './plan.ts';
import { journalOf } from './registry-files.ts';
import { findGuardiansOf, residentBytesOf, type SoakProcess } from './table.ts';
import type { World } from './world.ts';

/** What a busy machine may add to a deadline: both cores are kept busy for 4 s at a time. */
export const SLACK_MS = 5000;
/** A guardian that cannot fork looks by a shell's builtins: some 100,000 system calls a look. */
export const CROWDED_SLACK_MS = 15_000;
const LADDER_MS = LADDER.stdinEofMs + LADDER.termMs + LADDER.killMs;
/** How far the veteran's memory may rise above what it was after its first third of a minute. */
const MEMORY_BYTES = 48 * 1024 * 1024;
const WARM_UP_MS = 20_000;

/** One look at everything. */
export interface Scene {
  readonly world: World;
  readonly processes: readonly SoakProcess[];
  readonly nowMs: number;
  readonly record: Measured;
}

/** The extremes that were seen. */
export interface Measured {
  looks: number;
  /** From a host's death to that of the last of its processes, by who had to end them. */
  guardedMs: number;
  orphanedMs: number;
  agentsOfHost: number;
  processes: number;
  warmBytes: number;
  residentBytes: number;
}

export interface Invariant {
  readonly name: string;
  /** Says what is wrong; `undefined` while nothing is. */
  readonly check: (scene: Scene) => string | undefined;
}

/** A fresh set: some of them remember what they have seen before. */
export function invariants(): Invariant[] {
  return [
    { name: 'nothing survives its host', check: survivorsOfHosts },
    { name: 'nothing survives its leader', check: survivorsOfLeaders() },
    { name: 'no stranger is touched', check: ({ world }) => world.strangers.harm() },
    { name: 'never over concurrency', check: overConcurrency },
    { name: 'one agent per conversation', check: (scene) => doubles(scene, 'agent') },
    { name: 'one process per service', check: (scene) => doubles(scene, 'service') },
    { name: 'one daemon, which outlives its launchers', check: daemons },
    { name: 'no host fails', check: failedHosts },
    { name: 'no host is without a guardian for long', check: unguarded() },
    { name: 'a stop ends everything, in time', check: unfinishedStops },
    { name: 'journals are readable', check: everyNth(10, unreadableJournals) },
    { name: "the host's memory is flat", check: everyNth(10, growingMemory()) },
  ];
}

/** Whose host is dead must be dead when its guardian, or else the next sweep, has had its time. */
function survivorsOfHosts({ world, processes, nowMs, record }: Scene): string | undefined {
  const dead = new Map(world.hosts.flatMap((host) => (host.diedAtMs ? [[host.id, host]] : [])));
  for (const { tag, role, pid } of processes) {
    const host = dead.get(tag.host);
    if (host?.diedAtMs === undefined) continue;
    const ageMs = nowMs - host.diedAtMs;
    const by = host.isOrphaning ? 'orphanedMs' : 'guardedMs';
    record[by] = Math.max(record[by], ageMs);
    if (nowMs > deadlineMs(world, host, host.diedAtMs))
      return `host ${host.id} (${host.ending}) is dead for ${Math.round(ageMs)} ms, and ${role || 'a process'} of ${tag.kind} ${tag.start} lives, pid ${pid}`;
  }
  return undefined;
}

function deadlineMs(world: World, host: Host, diedAtMs: number): number {
  if (host.survivors === 0) return diedAtMs;
  const slackMs = host.place === PLACES.crowded ? CROWDED_SLACK_MS : SLACK_MS;
  if (!host.isOrphaning) return diedAtMs + LADDER.termMs + LADDER.killMs + slackMs;
  return Math.max(diedAtMs, world.disturbedUntilMs) + SWEEP_MS + LADDER_MS + SLACK_MS;
}

/** While a host lives, it ends what an agent, run or service of its own has left. */
function survivorsOfLeaders(): Invariant['check'] {
  const since = new Map<string, number>();
  return ({ world, processes, nowMs }) => {
    const led = new Set(processes.filter(({ role }) => role === 'leader').map(startOf));
    const seen = new Set<string>();
    for (const process of processes) {
      const { tag, role, pid } = process;
      const host = world.liveHosts.find(({ id }) => id === tag.host);
      const start = startOf(process);
      if (host === undefined || tag.kind === 'host' || led.has(start)) continue;
      seen.add(start);
      const sinceMs = since.get(start) ?? nowMs;
      since.set(start, sinceMs);
      const disturbedMs = Math.max(sinceMs, host.disturbedUntilMs);
      if (nowMs > disturbedMs + LADDER_MS + SLACK_MS)
        return `the leader of ${tag.kind} ${tag.start} of host ${host.id} is dead for ${Math.round(nowMs - sinceMs)} ms, and ${role} lives, pid ${pid}`;
    }
    for (const start of since.keys()) if (!seen.has(start)) since.delete(start);
    return undefined;
  };
}

function overConcurrency({ processes, record }: Scene): string | undefined {
  const agents = processes.filter(({ tag }) => tag.kind === 'agent');
  for (const [host, rows] of Map.groupBy(agents, ({ tag }) => tag.host)) {
    if (countOf(rows) <= record.agentsOfHost && countOf(rows) <= CONCURRENCY) continue;
    // A look takes its time: who was seen in it and lives after it, lived at its end.
    const confirmed = countOf(rows.filter(isAlive));
    record.agentsOfHost = Math.max(record.agentsOfHost, confirmed);
    if (confirmed > CONCURRENCY) return `host ${host} has ${confirmed} agents: ${listed(rows)}`;
  }
  return undefined;
}

function doubles({ processes }: Scene, kind: 'agent' | 'service'): string | undefined {
  // A service has the same tag at every start: its leaders tell how many there are.
  const rows = processes.filter(
    ({ tag, role }) =>
      tag.kind === kind && tag.name !== '' && (kind === 'agent' || role === 'leader'),
  );
  for (const [name, same] of Map.groupBy(rows, ({ tag }) => tag.name)) {
    const count = (of: readonly SoakProcess[]) => (kind === 'agent' ? countOf(of) : of.length);
    if (count(same) < 2 || count(same.filter(isAlive)) < 2) continue;
    return `${count(same)} of "${name}" at once: ${listed(same)}`;
  }
  return undefined;
}

function daemons({ world, processes }: Scene): string | undefined {
  const lost = [...world.daemons.values()].find((key) => !isAlive(key));
  if (lost !== undefined)
    return `the daemon with pid ${lost.pid} is dead, and nobody was told to end it`;
  const named = processes.filter(
    ({ tag, args }) => tag.kind === 'daemon' && args.some((arg) => arg.endsWith('/daemon.ts')),
  );
  // Until its exec, a child of the daemon looks like the daemon.
  const rows = named.filter(({ ppid }) => !named.some(({ pid }) => pid === ppid));
  if (rows.length < 2 || rows.filter(isAlive).length < 2) return undefined;
  return `${rows.length} daemons at once: ${listed(rows)}`;
}

function failedHosts({ world }: Scene): string | undefined {
  const failed = world.hosts.find((host) => host.diedAtMs !== undefined && !host.ending);
  return failed && `host ${failed.id} ended by itself: ${failed.stderr}`;
}

function unguarded(): Invariant['check'] {
  const seenAtMs = new Map<string, number>();
  return everyNth(10, ({ world, nowMs }) => {
    if (world.options.without === 'guardian') return undefined;
    for (const host of world.liveHosts) {
      if (!host.isReady || host.ending || findGuardiansOf(host).length > 0) {
        seenAtMs.set(host.id, nowMs);
        continue;
      }
      const lastMs = Math.max(seenAtMs.get(host.id) ?? nowMs, host.disturbedUntilMs);
      if (nowMs > lastMs + SLACK_MS)
        return `host ${host.id} has had no guardian for ${Math.round(nowMs - lastMs)} ms`;
    }
    return undefined;
  });
}

function unfinishedStops({ world, processes, nowMs }: Scene): string | undefined {
  for (const { id, survivors, diedAtMs, readyAtMs, toldToStopMs, ...host } of world.hosts) {
    if (survivors) return `host ${id} has stopped with ${survivors} survivors`;
    if (toldToStopMs === undefined || diedAtMs !== undefined) continue;
    // One that is still being loaded hears it later.
    if (readyAtMs === undefined) continue;
    const heardAtMs = Math.max(toldToStopMs, readyAtMs, host.disturbedUntilMs);
    const dueMs = heardAtMs + LADDER_MS + SLACK_MS;
    if (nowMs > dueMs) return `host ${id} does not stop`;
    if (survivors === undefined) continue;
    const left = processes.filter(({ tag }) => tag.host === id && tag.kind !== 'host');
    const living = left.filter(isAlive);
    if (living.length > 0) return `host ${id} says that it has stopped: ${listed(living)}`;
  }
  return undefined;
}

function unreadableJournals({ world, nowMs }: Scene): string | undefined {
  for (const host of world.liveHosts) {
    // What lies on a disk of its own is not to be seen from here, nor who has which number elsewhere.
    if (host.place === PLACES.cramped || host.place === PLACES.recycling) continue;
    if (!host.isReady || host.ending) continue;
    const text = journalOf(host);
    if (text === undefined && isAlive(host.key) && nowMs > host.bornAtMs + SLACK_MS)
      return `host ${host.id} has no journal`;
    const torn = text
      ?.split('\n')
      .slice(0, -1)
      .find((line) => !isObject(line));
    if (torn !== undefined) return `the journal of host ${host.id} holds ${JSON.stringify(torn)}`;
  }
  return undefined;
}

function growingMemory(): Invariant['check'] {
  // From the first look on: until then the other hosts are started, which may take long.
  let warmAtMs: number | undefined;
  return ({ world, nowMs, record }) => {
    const veteran = world.hosts.find(({ place }) => place === PLACES.veteran);
    if (veteran === undefined) return undefined;
    warmAtMs ??= nowMs + WARM_UP_MS;
    const bytes = residentBytesOf(veteran.key.pid);
    if (bytes > 0) record.residentBytes = bytes;
    if (nowMs < warmAtMs) record.warmBytes = Math.max(bytes, record.warmBytes);
    else if (bytes > record.warmBytes + MEMORY_BYTES)
      return `host ${veteran.id} has grown from ${record.warmBytes} to ${bytes} bytes`;
    return undefined;
  };
}

/** For what is dear to look at. */
function everyNth(nth: number, check: Invariant['check']): Invariant['check'] {
  let looks = 0;
  return (scene) => (looks++ % nth === 0 ? check(scene) : undefined);
}

const startOf = ({ tag }: SoakProcess): string => `${tag.host} ${tag.start}`;
const countOf = (rows: readonly SoakProcess[]): number => new Set(rows.map(startOf)).size;
const listed = (rows: readonly SoakProcess[]): string =>
  rows.map(({ tag, role, pid }) => `${tag.host}/${tag.start} ${role} ${pid}`).join(', ');

function isObject(line: string): boolean {
  try {
    return typeof JSON.parse(line) === 'object';
  } catch {
    return false;
  }
}
