// A host as a process, seen from outside, and how one is started for its place.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { join } from 'node:path';
import { type ProcessKey, readRow } from '../kit/process-table.ts';
import type { HostSetup } from './host.ts';
import { PLACES } from './plan.ts';
import type { World } from './world.ts';

export const LADDER = { stdinEofMs: 200, termMs: 500, killMs: 500 };
export const SWEEP_MS = 1000;
export const CONCURRENCY = 2;
/** V8 lets its young generation grow by some 50 MiB as it likes, which would hide what a host itself keeps. */
const NODE_FLAGS = ['--max-semi-space-size=2'];

/** What a soak can be run without, to see that its witness notices. */
export type Protection = 'guardian' | 'identity' | 'slots';

/** One host: a place is inhabited by one after the other. */
export interface Host {
  readonly id: string;
  readonly place: number;
  readonly stateDir: string;
  readonly child: ChildProcess;
  readonly key: ProcessKey;
  readonly bornAtMs: number;
  isReady: boolean;
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

export function startHost(world: World, place: number, id: string): Host {
  const stateDir = stateDirOf(world, place, id);
  const setup = JSON.stringify(setupOf(world, stateDir));
  const script = join(import.meta.dirname, 'host.ts');
  const node = [process.execPath, ...NODE_FLAGS, script, setup];
  const [command = '', ...args] = [...through(world, place), ...node];
  const env = world.env({ kind: 'host', host: id });
  // In a group of its own: Ctrl-C is for the soak alone, and ends its hosts by their stdin.
  const options = { env, cwd: world.folder, stdio: 'pipe', detached: true } as const;
  const child = spawn(command, args, options);
  const key = readRow(child.pid ?? 0);
  if (key === undefined) throw new Error(`host ${id} did not start`);
  return {
    ...{ id, place, stateDir, child, key, bornAtMs: performance.now() },
    ...{ isReady: false, stderr: '', guardianHurtUntilMs: 0, disturbedUntilMs: 0 },
  };
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
    },
    lifeMs,
    ignoresIdentity: without === 'identity',
  };
}

/** Without guardians nobody else may clean up either: each host has a registry of its own then. */
function stateDirOf({ folder, options }: World, place: number, id: string): string {
  if (place === PLACES.cramped) return join(folder, 'cramped/state');
  return join(folder, options.without === 'guardian' ? `state-${id}` : 'state');
}

const IN_MOUNT_NAMESPACE = ['unshare', '--mount', '--map-root-user'] as const;

function through({ folder, canMount }: World, place: number): string[] {
  if (place === PLACES.narrow) return ['sh', '-c', 'ulimit -n 64; exec "$@"', 'sh'];
  if (place !== PLACES.cramped || !canMount) return [];
  const mount = `mount -t tmpfs -o size=1m soak '${join(folder, 'cramped')}'`;
  return [...IN_MOUNT_NAMESPACE, 'sh', '-c', `${mount} && exec "$@"`, 'sh'];
}

/** Whether a host may have a disk of its own here. */
export function canMountAt(folder: string): boolean {
  const [command, ...args] = IN_MOUNT_NAMESPACE;
  try {
    execFileSync(command, [...args, 'mount', '-t', 'tmpfs', 'soak', folder], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
