// A host as a process, seen from outside, and how one is started for its place.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { FEW_NUMBERS, UNSHARE } from '../kit/pid-namespace.ts';
import { eventually, isAlive, type ProcessKey, readRow } from '../kit/process-table.ts';
import { now } from './clock.ts';
import { CONTROLS, type Control } from './controls.ts';
import type { HostSetup } from './host.ts';
import { PLACES } from './plan.ts';
import { asUser, IN_MOUNT_NAMESPACE, ownFolder } from './surroundings.ts';
import type { SoakProcess } from './table.ts';
import type { World } from './world.ts';

export const LADDER = { stdinEofMs: 200, termMs: 500, killMs: 500 };
export const SWEEP_MS = 1000;
export const CONCURRENCY = 2;
/** V8 lets its young generation grow by some 50 MiB as it likes, which would hide what a host itself keeps. */
const NODE_FLAGS = ['--max-semi-space-size=2'];

/** One host: a place is inhabited by one after the other. */
export interface Host {
  readonly id: string;
  readonly place: number;
  readonly stateDir: string;
  readonly child: ChildProcess;
  /** The host itself, as soon as it is ready; before, it may be what it is started through. */
  key: ProcessKey;
  readonly bornAtMs: number;
  /** Resolves when it is dead, and says how. */
  readonly gone: Promise<string>;
  /** Where strangers beside it write down which signals they get. */
  readonly strangersLog?: string | undefined;
  isReady: boolean;
  readyAtMs?: number;
  /** By which its guardian is known. */
  instance?: string | undefined;
  stderr: string;
  /** Why it is about to end; a host that ends without a reason has failed. */
  ending?: string;
  /** When it was told to stop, as it should. */
  toldToStopMs?: number;
  /** What it still had when it said that it was stopped. */
  survivors?: number;
  diedAtMs?: number;
  /** Whether its guardian may have died before it, so that another host has to clean up. */
  isOrphaning?: boolean;
  guardianHurtUntilMs: number;
  /** It cannot do its work before: it is stopped, or has no descriptors. */
  disturbedUntilMs: number;
}

const HOST_SCRIPT = join(import.meta.dirname, 'host.ts');
/** So many that a host, its guardian and two agents have enough. */
const MAX_PROCESSES = 48;

export function startHost(world: World, place: number, id: string): Host {
  const stateDir = stateDirOf(world, place, id);
  const isRecycling = place === PLACES.recycling;
  const strangersLog = isRecycling ? join(world.folder, `strangers-${id}`) : undefined;
  const setup = JSON.stringify(setupOf(world, stateDir));
  const tag = { kind: 'host', host: id } as const;
  const around = isRecycling
    ? inNamespace(world, world.env(tag).SOAK_TAG, strangersLog ?? '')
    : through(world, place, stateDir);
  const node = [process.execPath, ...NODE_FLAGS, HOST_SCRIPT, setup];
  const [command = '', ...args] = [...around, ...node];
  const env = world.env(isRecycling ? { kind: 'namespace' } : tag);
  // In a group of its own: Ctrl-C is for the soak alone, and ends its hosts by their stdin.
  const options = { env, cwd: world.folder, stdio: 'pipe', detached: true } as const;
  const child = spawn(command, args, options);
  const key = readRow(child.pid ?? 0);
  if (key === undefined) throw new Error(`host ${id} did not start`);
  const host: Host = {
    ...{ id, place, stateDir, child, key, strangersLog, bornAtMs: now() },
    gone: isRecycling ? endOfOutput(child, () => host.key) : endOf(child),
    ...{ isReady: false, stderr: '', guardianHurtUntilMs: 0, disturbedUntilMs: 0 },
  };
  return host;
}

async function endOf(child: ChildProcess): Promise<string> {
  const [code, signal] = await once(child, 'exit');
  return signal ?? `exit code ${code}`;
}

/** The end of a host that is not the child itself: of its output, and a moment later its own. */
async function endOfOutput({ stdout }: ChildProcess, key: () => ProcessKey): Promise<string> {
  if (stdout !== null) await once(stdout, 'close');
  await eventually(() => !isAlive(key())).catch(() => undefined);
  return 'in its namespace';
}

/** The process of a host that is started through others which do not become it. */
export function hostItself(world: World, host: Host): ProcessKey {
  const isIt = ({ tag, args }: SoakProcess) =>
    tag.kind === 'host' && tag.host === host.id && args.includes(HOST_SCRIPT);
  return world.processes().find(isIt) ?? host.key;
}

function setupOf({ options: { without }, lifeMs }: World, stateDir: string): HostSetup {
  const concurrency = without === 'slots' ? 2 * CONCURRENCY : CONCURRENCY;
  return {
    options: {
      stateDir,
      ladder: LADDER,
      sweep: { intervalMs: SWEEP_MS },
      pool: { concurrency, hardCap: 8 },
      guardian: without !== 'guardian',
      rlimitTag: without !== 'tag',
    },
    lifeMs,
    without,
  };
}

/** Where nobody else may clean up, each host has a registry of its own; so it has where nobody else can. */
function stateDirOf({ folder, options: { without } }: World, place: number, id: string): string {
  if (place === PLACES.cramped) return join(folder, 'cramped/state');
  const control: Control | undefined = without && CONTROLS[without];
  const isAlone = place === PLACES.crowded || place === PLACES.recycling || control?.alone;
  return join(folder, isAlone ? `of-${id}/state` : 'state');
}

function through({ folder, canMount }: World, place: number, stateDir: string): string[] {
  if (place === PLACES.narrow) return ['sh', '-c', 'ulimit -n 64; exec "$@"', 'sh'];
  if (place === PLACES.crowded) return asUser(ownFolder(dirname(stateDir)), MAX_PROCESSES);
  if (place !== PLACES.cramped || !canMount) return [];
  const mount = `mount -t tmpfs -o size=1m soak '${join(folder, 'cramped')}'`;
  return [...IN_MOUNT_NAMESPACE, 'sh', '-c', `${mount} && exec "$@"`, 'sh'];
}

function inNamespace({ makerOfDaemons = '' }: World, tag: string, log: string): string[] {
  const script = join(import.meta.dirname, 'recycling.sh');
  return [...UNSHARE, 'sh', script, String(FEW_NUMBERS), tag, log, makerOfDaemons];
}
