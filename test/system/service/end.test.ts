// The end of a service: by itself, by its supervisor, by its host, and before it has begun.
import { describe, expect } from 'vitest';
import { CAN_CONTAIN } from '../../../kit/containment.ts';
import { eventually } from '../../../kit/process-table.ts';
import { freePort, it, ServerRig } from '../../../kit/services.ts';
import { SupervisorError } from '../../../src/index.ts';
import { defineService } from '../../../src/service/index.ts';

describe.runIf(CAN_CONTAIN)('close', () => {
  it('ends a server and its child that listen to no signal', async ({ rig }) => {
    const { supervisor, server } = rig;
    const { command, args = [], ...rest } = server.definition({ stubborn: true });
    const through = ['-c', '"$@" & "$@" & wait', 'sh', command, ...args];
    const service = defineService(supervisor, { ...rest, command: 'sh', args: through });
    await service.ensure();
    await eventually(() => server.alive().length === 3);
    const [first, second] = [service.close({ reason: 'done' }), service.close()];
    expect(await first).toMatchObject({ ended: [{ cause: 'terminated', forced: true }] });
    expect(await second).toBe(await first);
    expect(server.alive()).toEqual([]);
    expect(await service.close()).toBe(await first);
  });

  it('ends what is just starting, and what is to be started again', async ({ area, rig }) => {
    const { supervisor, server } = rig;
    const service = defineService(supervisor, server.definition({ acts: ['hang'] }));
    const asked = service.ensure();
    asked.catch(() => undefined);
    await eventually(() => server.alive().length === 1);
    await service.close();
    expect([service.state, server.alive()]).toEqual(['closed', []]);
    await expect(asked).rejects.toMatchObject({ code: 'STOPPING' });

    const waiting = new ServerRig(area, 'waiting');
    const restart = { backoffMs: 60_000 };
    const other = defineService(supervisor, waiting.definition({ acts: ['die'] }, { restart }));
    await (await other.ensure()).exited;
    await eventually(() => other.state === 'waiting');
    const next = other.ensure();
    next.catch(() => undefined);
    await other.close();
    await expect(next).rejects.toMatchObject({ code: 'STOPPING' });
    expect(waiting.starts).toBe(1);
  });

  it('comes at the end of its block, whatever is thrown in it', async ({ rig }) => {
    const { supervisor, server } = rig;
    const use = async (): Promise<never> => {
      await using service = defineService(supervisor, server.definition());
      await service.ensure();
      expect(server.alive()).toHaveLength(1);
      throw new Error('the client has failed');
    };
    await expect(use()).rejects.toThrow('the client has failed');
    expect(server.alive()).toEqual([]);
  });

  it('leaves nothing when a listener throws half-way', async ({ rig: { supervisor, server } }) => {
    const thrown: unknown[] = [];
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', (error) => thrown.push(error));
    try {
      const off = supervisor.on('service', ({ state }) => {
        if (state === 'closing') throw new Error('half-way');
      });
      const service = defineService(supervisor, server.definition());
      await service.ensure();
      await service.close();
      off();
      expect([service.state, server.alive()]).toEqual(['closed', []]);
      await eventually(() => thrown.length === 1);
    } finally {
      process.removeAllListeners('uncaughtException');
      for (const listener of listeners) process.on('uncaughtException', listener);
    }
  });

  it('gives the name back', async ({ rig: { supervisor, server } }) => {
    const definition = server.definition();
    const service = defineService(supervisor, definition);
    expect(defineService(supervisor, { ...definition })).toBe(service);
    const other = { ...definition, args: [] };
    // As at a hot reload: the newest definition holds, of the same service.
    expect(defineService(supervisor, other)).toBe(service);
    await service.close();
    expect(defineService(supervisor, other)).not.toBe(service);
  });
});

describe.runIf(CAN_CONTAIN)('a supervisor that stops', () => {
  it('ends what is ready, and what is starting or waiting says why', async ({ area, rig }) => {
    const { supervisor, server } = rig;
    const service = defineService(supervisor, server.definition());
    const { exited } = await service.ensure();
    const hanging = new ServerRig(area, 'hanging');
    const starting = defineService(supervisor, hanging.definition({ acts: ['hang'] })).ensure();
    starting.catch(() => undefined);
    await eventually(() => hanging.alive().length === 1);
    const { ended, survivors } = await supervisor.stop();
    expect(ended.map(({ cause }) => cause)).toEqual(['shutdown', 'shutdown']);
    expect(survivors).toEqual([]);
    expect(await exited).toMatchObject({ cause: 'shutdown' });
    await expect(starting).rejects.toMatchObject({ code: 'STOPPING' });
    await expect(service.ensure()).rejects.toMatchObject({ code: 'STOPPING' });
    expect([server.starts, server.alive(), hanging.alive()]).toEqual([1, [], []]);
    await supervisor.start();
    const { pid } = await service.ensure();
    expect(server.alive()).toEqual([pid]);
  });
});

describe.runIf(CAN_CONTAIN)('a host that is killed', () => {
  it('takes its service along, and lets nothing start it again', async ({ area }) => {
    const server = new ServerRig(area);
    const port = await freePort();
    const host = await area.readyHost();
    const definition = server.definition({ port, stubborn: true }, { ready: { port } });
    await host.ask({ do: 'ensure', definition });
    host.kill('SIGKILL');
    await host.exited;
    await eventually(() => server.alive().length === 0);
    expect(server.starts).toBe(1);
  });
});

describe.runIf(CAN_CONTAIN)('a start that cannot be', () => {
  it.for([
    ['a command that does not exist', { command: 'no-such-server' }, 'COMMAND_NOT_FOUND'],
    ['a folder that does not exist', { cwd: '/no/such/folder' }, 'CWD_NOT_FOUND'],
  ] as const)('says so: %s', async ([, more, code], { rig: { supervisor, server } }) => {
    const service = defineService(supervisor, server.definition({}, more));
    const error = await service.ensure().catch((reason) => reason);
    expect(error).toBeInstanceOf(SupervisorError);
    expect(error.code).toBe(code);
    expect([service.state, server.starts]).toEqual(['idle', 0]);
  });
});
