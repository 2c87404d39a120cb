// What is done to hosts, agents and files; each deed says in a few words whom it met.
import { spawn } from 'node:child_process';
import { appendFileSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { readRow } from '../kit/process-table.ts';
import { now } from './clock.ts';
import type { Host } from './host-process.ts';
import { choose, type DeedName, type Occasion } from './plan.ts';
import { corruptible, forgeJournal, journalOf } from './registry-files.ts';
import { belowByParent, findGuardiansOf, type SoakProcess } from './table.ts';
import type { World } from './world.ts';

const DEADLY_SIGNALS = ['SIGKILL', 'SIGSEGV', 'SIGKILL', 'SIGABRT', 'SIGTERM'] as const;
const DUPLICATE_POLICIES = ['takeover', 'replace', 'takeover', 'reject'] as const;
const CONVERSATIONS = 3;
const SESSIONS = 3;
/** How long what is taken away stays away. */
const WHILE_MS = 2000;
/** A guardian that was killed is started again within a second, and then has to load. */
const GUARDIAN_BACK_MS = 3000;
/** How long who kills by parent waits for the end of what it has asked to end. */
const PATIENCE_MS = 1600;
const BUSY_S = 4;
const FOUR_HOURS_MS = 4 * 3_600_000;

/** What a deed meets: the world, who lives at its place, and the number that chooses the rest. */
type Do = (world: World, host: Host, chance: number) => string | undefined;

/** Does what the plan says, if there is somebody to do it to. */
export function doDeed(world: World, { name, place, chance }: Occasion): string {
  const host = world.hostAt(place);
  const met = host && DEEDS[name](world, host, chance);
  world.count(met === undefined ? 'deed without an object' : name);
  return `${name} at ${host?.id ?? place}: ${met ?? 'nobody there'}`;
}

const DEEDS: Readonly<Record<DeedName, Do>> = {
  'start-agent'(world, host, chance) {
    const request = world.request(host, 'agent');
    world.tell(host, { do: 'spawn', request: { ...request, sessionId: sessionOf(host, chance) } });
    return 'queued';
  },
  'start-conversation'(world, host, chance) {
    // As many conversations of a name as registries: two of them know nothing of each other.
    const name = `${Math.floor(chance * CONVERSATIONS)}@${host.stateDir}`.replaceAll('/', '_');
    const onDuplicate = choose(DUPLICATE_POLICIES, (chance * 100) % 1);
    const request = world.request(host, 'agent', 'tree.sh', name);
    world.tell(host, { do: 'spawn', request: { ...request, conversationId: name, onDuplicate } });
    return `${name[0]} (${onDuplicate})`;
  },
  'start-washed'(world, host) {
    world.tell(host, { do: 'spawn', request: world.request(host, 'agent', 'washed.sh') });
    return 'queued';
  },
  'start-bomb'(world, host) {
    const request = { ...world.request(host, 'bomb', 'bomb.sh'), slot: false };
    world.tell(host, { do: 'spawn', request });
    return 'told';
  },
  'start-run'(world, host) {
    const request = { ...world.request(host, 'run', 'crash.sh'), slot: false };
    world.tell(host, { do: 'run', name: `run-${host.place}`, request });
    return 'told';
  },
  'start-service'(world, host) {
    const name = `${host.place}@${host.stateDir}`.replaceAll('/', '_');
    const { command, args } = world.request(host, 'service');
    // The same at each start: another environment would be another definition.
    const env = world.env({ kind: 'service', host: host.id, name, start: 'service' });
    world.tell(host, { do: 'service', definition: { name, command, args, env } });
    return 'told';
  },
  'ensure-daemon'(world, host) {
    const { port } = world.options;
    const stateDir = join(world.folder, 'daemon/state');
    const args = [join(import.meta.dirname, 'daemon.ts'), port, stateDir, world.lifeMs].map(String);
    const options = {
      name: 'soak',
      command: process.execPath,
      args,
      env: world.env({ kind: 'daemon' }),
      pidFile: join(world.folder, 'daemon/soak.pid'),
      ready: { port },
    };
    world.tell(host, { do: 'daemon', options });
    return 'told';
  },
  terminate(world, host, chance) {
    world.tell(host, { do: 'terminate', chance });
    return 'told';
  },
  'reap-session'(world, host, chance) {
    world.tell(host, { do: 'reap', sessionId: sessionOf(host, chance) });
    return 'told';
  },
  'kill-leader': (world, host, chance) =>
    signalOne(
      world,
      'SIGKILL',
      chance,
      ({ tag, role }) => tag.host === host.id && role === 'leader',
    ),
  'kill-descendant': (world, host, chance) =>
    signalOne(world, 'SIGKILL', chance, ({ tag, role }) => isDescendant(host, tag, role)),
  'stop-descendant': (world, host, chance) =>
    signalOne(world, 'SIGSTOP', chance, ({ tag, role }) => isDescendant(host, tag, role)),
  'kill-daemon'(world, _, chance) {
    const key = choose([...world.daemons.values()], chance);
    if (key === undefined) return undefined;
    world.doom([key]);
    return world.signal(key, 'SIGKILL') ? `pid ${key.pid}` : undefined;
  },
  'kill-host'(world, host, chance) {
    const signal = choose(DEADLY_SIGNALS, chance) ?? 'SIGKILL';
    return killHost(world, host, signal) ? signal : undefined;
  },
  'kill-by-parent'(world, host) {
    const root = readRow(host.key.pid);
    if (root === undefined) return undefined;
    host.ending = 'killed by parent';
    const list = belowByParent(root);
    // A daemon is its launcher's child for as long as that lives.
    world.doom(list);
    for (const key of list) world.signal(key, 'SIGINT');
    // As PM2 does; who was started meanwhile, or has lost its parent, is in no list.
    world.later(PATIENCE_MS, () => {
      for (const key of list) world.signal(key, 'SIGKILL');
    });
    return `${list.length} processes`;
  },
  'kill-guardian'(world, host) {
    host.guardianHurtUntilMs = now() + GUARDIAN_BACK_MS;
    return signalGuardians(world, host, 'SIGKILL');
  },
  'kill-host-and-guardian'(world, host) {
    // Stopped first, so that it cannot call another guardian in between.
    world.signal(host.key, 'SIGSTOP');
    host.guardianHurtUntilMs = now() + GUARDIAN_BACK_MS;
    const guardians = signalGuardians(world, host, 'SIGKILL');
    killHost(world, host, 'SIGKILL');
    return guardians ?? 'it had none';
  },
  'stop-guardian'(world, host) {
    host.guardianHurtUntilMs = now() + WHILE_MS;
    const guardians = findGuardiansOf(host);
    world.later(WHILE_MS, () => {
      for (const key of guardians) world.signal(key, 'SIGCONT');
    });
    return signalGuardians(world, host, 'SIGSTOP');
  },
  'stop-host'(world, host, chance) {
    const forMs = WHILE_MS * (1 + chance);
    disturb(world, host, forMs);
    world.later(forMs, () => world.signal(host.key, 'SIGCONT'));
    return world.signal(host.key, 'SIGSTOP') ? `for ${Math.round(forMs)} ms` : undefined;
  },
  'end-host'(world, host) {
    world.stop(host, 'end-host');
    return 'told';
  },
  'fill-disk'(world, host) {
    if (!world.canMount) return undefined;
    world.tell(host, { do: 'fill', forMs: WHILE_MS });
    return 'told';
  },
  'make-read-only'(world, host) {
    if (!world.canMount) return undefined;
    world.tell(host, { do: 'read-only', forMs: WHILE_MS });
    return 'told';
  },
  'exhaust-descriptors'(world, host) {
    disturb(world, host, 2 * WHILE_MS);
    world.tell(host, { do: 'exhaust', forMs: WHILE_MS });
    return 'told';
  },
  'jump-clock'(world, host, chance) {
    const byMs = Math.round((chance - 0.5) * 4 * FOUR_HOURS_MS);
    world.tell(host, { do: 'jump', byMs });
    return `by ${Math.round(byMs / 60_000)} min`;
  },
  'forge-journal'(world, _, chance) {
    const relic = choose(world.relics, (chance * 10) % 1);
    const stranger = choose(world.strangers.keys, chance);
    if (relic === undefined || stranger === undefined) return undefined;
    return forgeJournal(join(world.folder, 'state'), relic, stranger);
  },
  'corrupt-file'(world, _, chance) {
    const stateDir = join(world.folder, 'state');
    const file = choose(corruptible(stateDir), chance);
    if (file === undefined) return undefined;
    const path = join(stateDir, file);
    if (chance < 0.5) appendFileSync(path, '\0\0noise{"add":{"pid":2}}\n[]\n{"remove":');
    else truncateSync(path, Math.floor(statSync(path).size * (0.5 + chance / 2)));
    return file.replace(/(.{24}).+/, '$1…');
  },
  'keep-cores-busy'(world) {
    for (const _ of [1, 2]) {
      const args = [String(BUSY_S), 'sh', '-c', 'while :; do :; done'];
      spawn('timeout', args, { env: world.env({ kind: 'busy' }), stdio: 'ignore' });
    }
    return `for ${BUSY_S} s`;
  },
};

const sessionOf = (host: Host, chance: number): string =>
  `${host.id}-${Math.floor(chance * SESSIONS)}`;

const isDescendant = (host: Host, tag: SoakProcess['tag'], role: string): boolean =>
  tag.host === host.id && tag.kind !== 'host' && role !== '' && role !== 'leader';

function signalOne(
  world: World,
  signal: NodeJS.Signals,
  chance: number,
  isWanted: (process: SoakProcess) => boolean,
): string | undefined {
  const chosen = choose(world.processes().filter(isWanted), chance);
  if (chosen === undefined || !world.signal(chosen, signal)) return undefined;
  return `${chosen.role} of ${chosen.tag.kind} ${chosen.tag.start}, pid ${chosen.pid}`;
}

function signalGuardians(world: World, host: Host, signal: NodeJS.Signals): string | undefined {
  const met = findGuardiansOf(host).filter((key) => world.signal(key, signal));
  return met.length === 0 ? undefined : `guardian ${met.map(({ pid }) => pid).join(', ')}`;
}

function killHost(world: World, host: Host, signal: NodeJS.Signals): boolean {
  const relic = journalOf(host);
  host.ending = signal;
  const isHit = world.signal(host.key, signal);
  // Only one that names somebody is of use to a forger.
  if (relic?.includes('{"add":')) world.relics.push(relic);
  if (world.relics.length > 10) world.relics.shift();
  return isHit;
}

/** Says that a host cannot do its work for a while, nor clean up after others. */
function disturb(world: World, host: Host, forMs: number): void {
  const untilMs = now() + forMs;
  host.disturbedUntilMs = Math.max(host.disturbedUntilMs, untilMs);
  world.disturbedUntilMs = Math.max(world.disturbedUntilMs, untilMs);
}
