// Where a service is to run, somebody may be, or have been: strangers, dead hosts, live ones.
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { type Area, CAN_CONTAIN, type ContainedHost } from '../../../kit/containment.ts';
import { eventually, readRow } from '../../../kit/process-table.ts';
import { freePort, it, listening, ServerRig } from '../../../kit/services.ts';
import { defineService } from '../../../src/service/index.ts';

/** A host that runs the service and is killed, at once and without a guardian: its server lives on. */
async function killedHost(area: Area, definition: object): Promise<ContainedHost> {
  const host = await area.readyHost({ options: { guardian: false } });
  expect(await host.ask({ do: 'ensure', definition: definition as never })).toHaveProperty('pid');
  host.kill('SIGKILL');
  await host.exited;
  return host;
}

describe.runIf(CAN_CONTAIN)('a stranger in the place of a service', () => {
  it('on its port is named, and nothing is started', async ({ area, rig }) => {
    const { supervisor, server } = rig;
    const port = await freePort();
    const stranger = new ServerRig(area, 'stranger');
    const { command, args = [] } = stranger.definition({ port });
    const canary = area.canary({}, [command, ...args]);
    await listening(port);
    const service = defineService(supervisor, server.definition({ port }, { ready: { port } }));
    const error = await service.ensure().catch((reason) => reason);
    expect(error).toMatchObject({ code: 'ALREADY_RUNNING', data: { port, pid: canary.pid } });
    expect(error.message).toContain(`pid ${canary.pid}`);
    expect(server.alive()).toEqual([]);
    expect(readRow(canary.pid)?.startTime).toBe(canary.startTime);
  });

  it('that takes it during the start is no sign of readiness', async ({ area, rig }) => {
    const { supervisor, server } = rig;
    const port = await freePort();
    const definition = server.definition({ acts: ['hang'] }, { ready: { port } });
    const asked = defineService(supervisor, definition).ensure();
    asked.catch(() => undefined);
    await eventually(() => server.starts === 1);
    const stranger = new ServerRig(area, 'stranger');
    const { command, args = [] } = stranger.definition({ port });
    const canary = area.canary({}, [command, ...args]);
    await expect(asked).rejects.toMatchObject({ code: 'ALREADY_RUNNING' });
    expect(server.alive()).toEqual([]);
    expect(readRow(canary.pid)?.startTime).toBe(canary.startTime);
  });

  it('on its socket is named, and keeps it', async ({ area, rig: { supervisor, server } }) => {
    const socket = join(area.folder, 'socket');
    const stranger = createServer().listen(socket);
    await new Promise((resolve) => stranger.once('listening', resolve));
    const service = defineService(supervisor, server.definition({ socket }, { ready: { socket } }));
    const error = await service.ensure().catch((reason) => reason);
    expect(error).toMatchObject({ code: 'ALREADY_RUNNING', data: { socket, pid: process.pid } });
    expect(existsSync(socket)).toBe(true);
    await new Promise((resolve) => stranger.close(resolve));
  });
});

describe.runIf(CAN_CONTAIN)('what a dead host has left of a service', () => {
  it('is ended before the next one starts', async ({ area, rig: { supervisor, server } }) => {
    const port = await freePort();
    const definition = server.definition({ port }, { ready: { port } });
    await killedHost(area, definition);
    const [old] = server.alive();
    expect(old).toBeDefined();
    const { pid } = await defineService(supervisor, definition).ensure();
    expect(server.alive()).toEqual([pid]);
    expect([server.starts, server.overlaps]).toEqual([2, []]);
  });

  it('is ended too where there is no port to fight for', async ({ area, rig }) => {
    const { supervisor, server } = rig;
    const definition = server.definition({}, { ready: undefined });
    await killedHost(area, definition);
    await eventually(() => server.starts === 1);
    const { pid } = await defineService(supervisor, definition).ensure();
    await eventually(() => server.starts === 2);
    expect(server.alive()).toEqual([pid]);
    expect(server.overlaps).toEqual([]);
  });

  it('is not in the way: its socket and its lock are removed', async ({ area, rig }) => {
    const { supervisor, server } = rig;
    const [socket, lockFile] = [join(area.folder, 'socket'), join(area.folder, 'lock')];
    const definition = server.definition(
      { socket, lockFile },
      { ready: { socket }, lockFiles: [lockFile] },
    );
    await killedHost(area, definition);
    await eventually(() => existsSync(socket) && existsSync(lockFile));
    await defineService(supervisor, definition).ensure();
    expect(server.starts).toBe(2);
  });

  it('is left alone where it is not proven: a socket and a lock of somebody else', async ({
    area,
    rig: { supervisor, server },
  }) => {
    const [socket, lockFile] = [join(area.folder, 'socket'), join(area.folder, 'lock')];
    const plan = { socket, lockFile };
    const ready = { socket, timeoutMs: 5000 };
    const definition = server.definition(plan, { ready, lockFiles: [lockFile] });
    await killedHost(area, definition);
    await eventually(() => existsSync(lockFile));
    // The same names, and other files.
    rmSync(lockFile);
    writeFileSync(lockFile, 'somebody else');
    const service = defineService(supervisor, definition);
    await expect(service.ensure()).rejects.toMatchObject({ code: 'SPAWN_FAILED' });
    expect(existsSync(lockFile)).toBe(true);
    await service.close();

    // Nobody has ever started this one.
    const other = new ServerRig(area, 'other');
    const stale = other.definition({ lockFile }, { ready: undefined, lockFiles: [lockFile] });
    const { exited } = await defineService(supervisor, stale).ensure();
    expect(await exited).toMatchObject({ cause: 'failed' });
    expect(existsSync(lockFile)).toBe(true);
  });
});

describe.runIf(CAN_CONTAIN)('a live host', () => {
  it('keeps its own, which another one is refused', async ({ area, rig }) => {
    const { supervisor, server } = rig;
    const port = await freePort();
    const definition = server.definition({ port }, { ready: { port } });
    const host = await area.readyHost();
    const { pid } = await host.ask({ do: 'ensure', definition });
    const error = await defineService(supervisor, definition)
      .ensure()
      .catch((reason) => reason);
    expect(error).toMatchObject({ code: 'ALREADY_RUNNING', data: { pid } });
    expect(server.alive()).toEqual([pid]);
  });

  it('finds the breaker open that another one has left behind', async ({ area, rig }) => {
    const { supervisor, server } = rig;
    const port = await freePort();
    const definition = server.definition(
      { acts: ['crash', 'crash', 'live'], port },
      { ready: { port }, breaker: { failures: 2, openMs: 2000 } },
    );
    const host = await area.readyHost();
    for (const turn of [1, 2])
      expect(await host.ask({ do: 'ensure', definition }), `${turn}`).toHaveProperty('error');
    host.kill('SIGKILL');
    await host.exited;
    const service = defineService(supervisor, definition);
    await expect(service.ensure()).rejects.toMatchObject({ code: 'CIRCUIT_OPEN' });
    expect(server.starts).toBe(2);
    // It half-opens by itself, and closes.
    await eventually(() => service.state === 'half-open');
    const { pid } = await service.ensure();
    expect([server.alive(), server.starts]).toEqual([[pid], 3]);
  });
});
