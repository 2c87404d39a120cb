// Hosts in their own PID namespaces, with another boot id, on one state directory.

import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import {
  type Area,
  CAN_CONTAIN,
  type ContainedHost,
  type Message,
  SLEEPER,
  UNSHARE,
} from './containment.ts';
import { ServerRig } from './services.ts';

const BOOT_ID = '/proc/sys/kernel/random/boot_id';
const SERVER = join(import.meta.dirname, '../test/fixtures/service-server.mjs');

/** A command prefix for a new PID namespace with its own host name, as in a container. */
export function container(name: string): string[] {
  const script = 'hostname "$0" && exec "$@"';
  return [...UNSHARE, '--uts', 'sh', '-c', script, name];
}

/** A command prefix for a host that sees another boot id, as if it ran on another kernel. */
export function anotherKernel({ folder }: Area): string[] {
  const bootId = randomUUID();
  const path = join(folder, `boot-id-${bootId}`);
  writeFileSync(path, `${bootId}\n`);
  const script = `mount --bind "$0" ${BOOT_ID} && exec "$@"`;
  return ['unshare', '--mount', 'sh', '-c', script, path];
}

/** `true` if namespaces and mounts can be made here. */
export const CAN_PLAY_MACHINES =
  CAN_CONTAIN &&
  [container('probe'), ['unshare', '--mount', 'sh', '-c', `mount --bind "$0" ${BOOT_ID}`]].every(
    ([command = '', ...args], at) =>
      spawnSync(command, [...args, at === 0 ? 'true' : '/dev/null']).status === 0,
  );
if (CAN_CONTAIN && !CAN_PLAY_MACHINES)
  console.warn('left out: no other machine can be played here');

export const CONVERSATION = { ...SLEEPER, conversationId: 'chat', sessionId: 'work' } as const;

/** Makes a host touch everything that a dead host may have locked; each request must be answered. */
async function putToWork(area: Area, host: ContainedHost): Promise<number> {
  const beganMs = performance.now();
  const done = async (answer: Promise<Message>) => expect(await answer).not.toHaveProperty('error');
  const socket = join(area.folder, 'service.sock');
  const lockFile = join(area.folder, 'service.lock');
  const definition = new ServerRig(area).definition(
    { socket, lockFile },
    { ready: { socket }, lockFiles: [lockFile] },
  );
  const daemonSocket = join(area.stateDir, 'daemon.sock');
  await done(host.ask({ do: 'spawn', request: CONVERSATION }));
  await done(host.ask({ do: 'ensure', definition }));
  const daemon = await host.ask({
    do: 'daemon',
    options: {
      name: 'daemon',
      command: process.execPath,
      args: [SERVER, JSON.stringify({ socket: daemonSocket })],
      env: area.env,
      pidFile: join(area.stateDir, 'daemon.pid'),
      ready: { socket: daemonSocket },
    },
  });
  expect(daemon).toMatchObject({ report: { started: true } });
  return performance.now() - beganMs;
}

/** Runs hosts in one PID namespace after another on one state directory, and ends each by SIGKILL. */
export async function takeTurns(area: Area, rounds: number): Promise<number[]> {
  const took: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const name = round % 2 === 0 ? 'box' : `box-${round}`;
    const host = await area.readyHost({ through: container(name) });
    took.push(await putToWork(area, host));
    // The test only holds the parent of the host itself.
    host.kill('SIGKILL');
    await host.exited;
    expect(await area.survivors(5000)).toEqual([]);
    // Keeps the namespace's number from the next one.
    area.park();
  }
  return took;
}
