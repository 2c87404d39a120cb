// Services of real processes, watched from outside.

import { setTimeout as pause } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { describe, expect } from 'vitest';
import { CAN_CONTAIN } from '../../../kit/containment.ts';
import { eventually } from '../../../kit/process-table.ts';
import { freePort, it, type ServerPlan, ServerRig, superviseIn } from '../../../kit/services.ts';
import { isSupervisorError } from '../../../src/index.ts';
import { defineService, type ReadyContext, type Service } from '../../../src/service/index.ts';

/** How long the clients of a failing service go on asking: until it was tried again, but at least this long. */
const STORM_MS = 10_000;
const LONGEST_STORM_MS = 40_000;

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

  it('takes its newest definition, from its next start on', async ({
    rig: { supervisor, server },
  }) => {
    const warnings: string[] = [];
    supervisor.on('warning', ({ code }) => warnings.push(code));
    const service = defineService(supervisor, server.definition());
    const first = await service.ensure();
    const env = { ...process.env, REDEFINED: 'yes' };
    const args = ['-c', 'exec sleep 300', 'redefined'];
    const redefined = { ...server.definition(), command: 'sh', args, env, ready: undefined };
    expect(defineService(supervisor, redefined)).toBe(service);
    expect(await service.ensure()).toBe(first);
    await first.terminate();
    const second = await service.ensure();
    expect(supervisor.list()).toMatchObject([{ pid: second.pid, command: 'sh' }]);
    expect(warnings).toEqual(['DEFINITION_REPLACED']);
    await service.close();
  });

  it('comes back when it dies, and only when it is asked for if it is told so', async ({
    area,
    rig: { supervisor, server },
  }) => {
    const service = defineService(supervisor, server.definition());
    const first = await service.ensure();
    process.kill(first.pid ?? 0, 'SIGKILL');
    const second = await eventually(() =>
      server.starts === 2 && service.state === 'ready' ? service.ensure() : undefined,
    );
    expect(second.pid).not.toBe(first.pid);
    expect(server.overlaps).toEqual([]);

    const shy = new ServerRig(area, 'shy');
    const other = defineService(supervisor, shy.definition({}, { restart: false }));
    const one = await other.ensure();
    process.kill(one.pid ?? 0, 'SIGKILL');
    await one.exited;
    await eventually(() => other.state === 'idle');
    expect(shy.starts).toBe(1);
    await other.ensure();
    expect(shy.starts).toBe(2);
  });

  it('rests after an end that was meant, until somebody asks', async ({
    rig: { supervisor, server },
  }) => {
    const service = defineService(supervisor, server.definition({}, { sessionId: 's' }));
    await (await service.ensure()).terminate();
    await service.ensure();
    await supervisor.reapSession('s');
    expect(service.state).toBe('idle');
    const { pid } = await service.ensure();
    expect([server.starts, server.alive()]).toEqual([3, [pid]]);
  });

  it('is tried again when the breaker lets it, and works then', async ({
    rig: { supervisor, server, states },
  }) => {
    const acts = ['crash', 'crash', 'crash', 'live'] as const;
    const definition = server.definition({ acts }, { breaker: { openMs: 300, stableMs: 0 } });
    const service = defineService(supervisor, definition);
    const codes: unknown[] = [];
    const running = await eventually(() =>
      service.ensure().catch((error) => void codes.push(error.code)),
    );
    expect(server.alive()).toEqual([running.pid]);
    expect(server.starts).toBe(4);
    expect(codes.slice(0, 3)).toEqual(['SPAWN_FAILED', 'SPAWN_FAILED', 'SPAWN_FAILED']);
    expect(new Set(codes.slice(3))).toEqual(new Set(['CIRCUIT_OPEN']));
    // On a busy machine a backoff of 10 ms may be over before the dead are seen dead.
    const passed = states.filter((state) => state !== 'waiting');
    const untilOpen = ['starting', 'idle', 'starting', 'idle', 'starting'];
    expect(passed).toEqual([...untilOpen, 'open', 'half-open', 'starting', 'ready']);
  });

  it('says in its refusal when it can be tried, and why it failed', async ({
    rig: { supervisor, server },
  }) => {
    const plan: ServerPlan = { acts: ['crash'], lastWords: 'no licence' };
    const service = defineService(
      supervisor,
      server.definition(plan, { breaker: { failures: 1 } }),
    );
    await expect(service.ensure()).rejects.toThrow(
      'Service "server" has ended (failed, code 1) before it was ready: no licence',
    );
    const refusal = await service.ensure().catch((error) => error);
    expect(isSupervisorError(refusal, 'CIRCUIT_OPEN')).toBe(true);
    expect(refusal.message).toContain('no licence');
    expect(refusal.data.retryInMs).toBeGreaterThan(50_000);
    expect(server.starts).toBe(1);
  });
});

describe.runIf(CAN_CONTAIN)('a service that fails while its clients go on asking', () => {
  const PLANS: Readonly<Record<string, ServerPlan>> = {
    'crashes at its start': { acts: ['crash'] },
    'hangs before it is ready': { acts: ['hang'] },
    'dies between ready and first use': { acts: ['die'], dieAfterMs: 0 },
    'ends by itself': { acts: ['complete'] },
    'dies under its clients': { acts: ['die'], dieAfterMs: 50 },
  };

  it('is never two, starts as often as the policy says, and rests in between', async ({ area }) => {
    const { supervisor } = superviseIn(area);
    await supervisor.start();
    const breaker = { failures: 3, openMs: 1500 };
    const restart = { backoffMs: 50, maxBackoffMs: 200, jitter: 0, maxRestarts: 9 };
    const storms = Object.entries(PLANS).map(async ([name, plan], at) => {
      const server = new ServerRig(area, `storm-${at}`);
      const ready = { stdout: /^listening/, timeoutMs: 1000 };
      const service = defineService(
        supervisor,
        server.definition(plan, { ready, restart, breaker }),
      );
      const states: string[] = [];
      supervisor.on('service', (event) => event.name === service.name && states.push(event.state));
      const mostAtOnce = await askAll(service, server, () => states.includes('half-open'));
      await service.close();
      return { name, mostAtOnce, states, server };
    });
    for (const { name, mostAtOnce, states, server } of await Promise.all(storms)) {
      expect(mostAtOnce, name).toBeLessThanOrEqual(1);
      expect(server.overlaps, name).toEqual([]);
      // The first start, and as many as the policy allows.
      expect(server.starts, name).toBeLessThanOrEqual(10);
      expect(server.starts, name).toBeGreaterThanOrEqual(3);
      expect(states, name).toContain('open');
      expect(states, name).toContain('half-open');
      expect(server.alive(), name).toEqual([]);
    }
    await supervisor.stop();
  });

  it('is many without it (control)', async ({ area }) => {
    const { supervisor } = superviseIn(area, { pool: { hardCap: 60 } });
    await supervisor.start();
    const server = new ServerRig(area);
    // "Connect if not connected": each client looks, and starts one if there is none yet.
    const { command, args, env } = server.definition({ acts: ['hang'] });
    const start = () => supervisor.spawn({ command, args, env, kind: 'tool' });
    await Promise.all(
      Array.from({ length: 10 }, async () => {
        const isThere = server.alive().length > 0;
        await turn();
        if (!isThere) await start().started;
      }),
    );
    await eventually(() => server.starts === 10);
    expect(server.alive()).toHaveLength(10);
    await eventually(() => server.overlaps.length === 9);
    await supervisor.stop();
  });
});

/** Asks with many clients, each of which asks again as soon as it has an answer; returns how many were ever alive. */
async function askAll(service: Service, server: ServerRig, isOver: () => boolean): Promise<number> {
  const beganMs = performance.now();
  const goesOn = (): boolean => {
    const forMs = performance.now() - beganMs;
    return forMs < STORM_MS || (!isOver() && forMs < LONGEST_STORM_MS);
  };
  const client = async (): Promise<void> => {
    while (goesOn()) {
      const given = await service.ensure().catch(() => undefined);
      // Uses it until it breaks, and reconnects at once.
      if (given !== undefined) await Promise.race([given.exited, pause(STORM_MS)]);
      await pause(1);
    }
  };
  let most = 0;
  const watch = async (): Promise<void> => {
    while (goesOn()) {
      most = Math.max(most, server.alive().length);
      await pause(20);
    }
  };
  await Promise.all([watch(), ...Array.from({ length: 20 }, client)]);
  return most;
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe.runIf(CAN_CONTAIN)('a service is ready', () => {
  it('when its own tree listens on its port', async ({ rig: { supervisor, server } }) => {
    const port = await freePort();
    const service = defineService(supervisor, server.definition({ port }, { ready: { port } }));
    const { pid } = await service.ensure();
    expect(server.alive()).toEqual([pid]);
  });

  it('when a descendant does', async ({ rig: { supervisor, server } }) => {
    const port = await freePort();
    const { command, args = [], ...rest } = server.definition({ port }, { ready: { port } });
    const through = ['-c', '"$@" & wait', 'sh', command, ...args];
    const service = defineService(supervisor, { ...rest, command: 'sh', args: through });
    const { pid } = await service.ensure();
    expect(server.alive()).toHaveLength(2);
    expect(server.alive()).toContain(pid);
    await service.close();
    expect(server.alive()).toEqual([]);
  });

  it('when its URL answers with 2xx, and not before', async ({ rig: { supervisor, server } }) => {
    const port = await freePort();
    const ready = { url: `http://localhost:${port}/health`, timeoutMs: 1000 };
    const broken = defineService(supervisor, server.definition({ port, status: 503 }, { ready }));
    await expect(broken.ensure()).rejects.toMatchObject({ code: 'READY_TIMEOUT' });
    expect(server.alive()).toEqual([]);
    await broken.close();
    const service = defineService(supervisor, server.definition({ port }, { ready }));
    await service.ensure();
  });

  it('when its check says so', async ({ rig: { supervisor, server } }) => {
    let asked = 0;
    const check = ({ pid }: ReadyContext): boolean => {
      asked++;
      if (asked === 1) throw new Error('not yet');
      return asked > 3 && server.alive().includes(pid);
    };
    const service = defineService(supervisor, server.definition({}, { ready: { check } }));
    await service.ensure();
    expect(asked).toBeGreaterThan(3);
  });

  it('when it runs, if nothing else is said', async ({ rig: { supervisor, server } }) => {
    const service = defineService(supervisor, server.definition({}, { ready: undefined }));
    const { pid } = await service.ensure();
    // Between fork(2) and execve(2) it does not look like a server yet.
    await eventually(() => isDeepStrictEqual(server.alive(), [pid]));
  });

  const CHECKS: Readonly<Record<string, () => boolean | Promise<boolean>>> = {
    throws: () => Promise.reject(new Error('no such table')),
    'never answers': () => new Promise<boolean>(() => undefined),
    'says no': () => false,
  };

  it.for(Object.entries(CHECKS))('in time, or not at all: a check that %s', async (of, { rig }) => {
    const { supervisor, server } = rig;
    const [name, check] = of;
    let starts = 0;
    supervisor.on('started', () => starts++);
    const ready = { check, timeoutMs: 400 };
    const service = defineService(supervisor, server.definition({ stubborn: true }, { ready }));
    const error = await service.ensure().catch((reason) => reason);
    expect(isSupervisorError(error, 'READY_TIMEOUT')).toBe(true);
    expect(error.cause?.message).toBe(name === 'throws' ? 'no such table' : undefined);
    expect(starts).toBe(1);
    expect(server.alive()).toEqual([]);
  });
});
