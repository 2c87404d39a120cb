import { describe, expect } from 'vitest';
import { isSupervisorError } from '../../src/index.ts';
import { defineService } from '../../src/service/index.ts';
import { CAN_CONTAIN } from '../support/containment.ts';
import { eventually } from '../support/process-table.ts';
import { freePort, it } from '../support/services.ts';

describe.runIf(CAN_CONTAIN)('a service', () => {
  it('is one process for 200 who ask at once', async ({ rig: { supervisor, server, states } }) => {
    const service = defineService(supervisor, server.definition());
    const asked = Array.from({ length: 200 }, () => service.ensure());
    const given = await Promise.all(asked);
    expect(new Set(given.map(({ pid }) => pid)).size).toBe(1);
    expect(server.alive()).toEqual([given[0]?.pid]);
    expect(server.starts).toBe(1);
    expect(await service.ensure()).toBe(given[0]);
    const { ended, survivors } = await service.close();
    expect(ended.map(({ cause }) => cause)).toEqual(['terminated']);
    expect([survivors, server.alive()]).toEqual([[], []]);
    expect(states).toEqual(['starting', 'ready', 'closing', 'closed']);
    await expect(service.ensure()).rejects.toMatchObject({ code: 'STOPPING' });
  });

  it('comes back when it dies', async ({ rig: { supervisor, server } }) => {
    const service = defineService(supervisor, server.definition());
    const first = await service.ensure();
    process.kill(first.pid ?? 0, 'SIGKILL');
    const second = await eventually(() =>
      server.starts === 2 && service.state === 'ready' ? service.ensure() : undefined,
    );
    expect(second.pid).not.toBe(first.pid);
    expect(server.overlaps).toEqual([]);
  });

  it('tries for nobody any more when it fails too often', async ({
    rig: { supervisor, server, states },
  }) => {
    const service = defineService(
      supervisor,
      server.definition(
        { acts: ['crash', 'crash', 'crash', 'live'] },
        { breaker: { openMs: 300 } },
      ),
    );
    const codes: unknown[] = [];
    const process = await eventually(async () => {
      try {
        return await service.ensure();
      } catch (error) {
        codes.push(isSupervisorError(error) && error.code);
        return undefined;
      }
    });
    expect(process.pid).toBe(server.alive()[0]);
    expect(server.starts).toBe(4);
    expect(codes.slice(0, 3)).toEqual(['SPAWN_FAILED', 'SPAWN_FAILED', 'SPAWN_FAILED']);
    expect(new Set(codes.slice(3))).toEqual(new Set(['CIRCUIT_OPEN']));
    expect(states).toContain('half-open');
  });

  it('is ready when its own tree listens', async ({ rig: { supervisor, server } }) => {
    const port = await freePort();
    const service = defineService(supervisor, server.definition({ port }, { ready: { port } }));
    const { pid } = await service.ensure();
    expect(server.alive()).toEqual([pid]);
  });
});
