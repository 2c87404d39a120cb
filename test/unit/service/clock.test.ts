// A whole service on time that stands still: its breaker half-opens by itself, whatever the wall clock says.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeSupervision } from '../../../kit/fake-supervisor.ts';
import type { ServiceState } from '../../../src/index.ts';
import { defineService, type Service } from '../../../src/service/index.ts';

const DAY_MS = 24 * 3_600_000;
const OPEN_MS = 60_000;
const NOT_FOUND = { code: 'COMMAND_NOT_FOUND', message: 'no server', cause: undefined } as const;

let host: FakeSupervision;
let states: ServiceState[] = [];

beforeEach(() => {
  host = new FakeSupervision();
});
afterEach(() => host[Symbol.dispose]());

function serviceOf({ supervisor }: FakeSupervision, restart = {}): Service {
  states = [];
  supervisor.on('service', ({ state }) => states.push(state));
  return defineService(supervisor, {
    name: 'server',
    command: 'server',
    restart: { jitter: 0, sameCrashLimit: 100, maxRestarts: 100, ...restart },
  });
}

const ask = (service: Service, on = host): Promise<unknown> =>
  on.until(service.ensure().catch((error) => error.code));

async function failThrice(service: Service): Promise<void> {
  host.os.failure = NOT_FOUND;
  for (let turn = 1; turn <= 3; turn++) expect(await ask(service)).toBe('COMMAND_NOT_FOUND');
  expect(await ask(service)).toBe('CIRCUIT_OPEN');
}

describe('a service that was never ready', () => {
  it('waits for its backoff, then for its breaker, and is tried when somebody asks', async () => {
    const service = serviceOf(host);
    await failThrice(service);
    const passed = ['starting', 'idle', 'waiting', 'starting', 'idle', 'waiting', 'starting'];
    expect(states).toEqual([...passed, 'open']);
    expect(host.os.launches).toHaveLength(3);
    await host.os.clock.advance(OPEN_MS - 1);
    expect(await ask(service)).toBe('CIRCUIT_OPEN');
    await host.os.clock.advance(1);
    expect(service.state).toBe('half-open');
    host.os.failure = undefined;
    expect(await ask(service)).toMatchObject({ pid: expect.any(Number) });
    expect(service.state).toBe('ready');
    expect(host.os.launches).toHaveLength(4);
  });

  it('is half open for a caller who comes before the timer that is due', async () => {
    const service = serviceOf(host);
    await failThrice(service);
    host.os.failure = undefined;
    const early = Promise.withResolvers<unknown>();
    host.os.clock.after(OPEN_MS - 1, () => {
      early.resolve(service.ensure());
      expect(service.state).toBe('half-open');
    });
    host.os.clock.advanceInOneTick(OPEN_MS);
    expect(await host.until(early.promise)).toMatchObject({ pid: expect.any(Number) });
    expect(states.slice(-4)).toEqual(['open', 'half-open', 'starting', 'ready']);
  });

  it.each([
    ['set back', -DAY_MS],
    ['set forward', DAY_MS],
  ])('is tried in time in the next host, with a clock that is %s a day', async (_, byMs) => {
    await failThrice(serviceOf(host));
    await host.until(host.supervisor.stop());
    host.os.clock.setWall(host.os.clock.now() + byMs);
    const next = new FakeSupervision({ stateDir: host.stateDir }, 'linux', host.os);
    const service = serviceOf(next);
    await next.os.clock.advance(OPEN_MS / 2);
    expect(await ask(service, next)).toBe('CIRCUIT_OPEN');
    expect(service.state).toBe('open');
    host.os.failure = undefined;
    await next.os.clock.advance(OPEN_MS / 2);
    expect(service.state).toBe('half-open');
    expect(await ask(service, next)).toMatchObject({ pid: expect.any(Number) });
    expect(host.os.launches).toHaveLength(4);
  });
});

describe('a service that was ready', () => {
  it('makes the trial by itself, and closes the breaker when it holds', async () => {
    const service = serviceOf(host);
    await ask(service);
    for (let turn = 1; turn <= 3; turn++) {
      host.os.die(host.os.alive[0] as number, 1);
      await host.os.clock.settle();
      if (turn < 3) await host.os.clock.advance(8000);
    }
    expect(service.state).toBe('open');
    expect(host.os.alive).toEqual([]);
    await host.os.clock.advance(OPEN_MS);
    expect(service.state).toBe('ready');
    expect(host.os.launches).toHaveLength(4);
    // It has held for 10 s: the next end is the first one again.
    await host.os.clock.advance(10_000);
    host.os.die(host.os.alive[0] as number, 1);
    await host.os.clock.advance(16_000);
    expect(service.state).toBe('ready');
  });

  it('opens the breaker again with one failure if it does not hold', async () => {
    const service = serviceOf(host);
    await failThrice(service);
    host.os.failure = undefined;
    await host.os.clock.advance(OPEN_MS);
    await ask(service);
    host.os.die(host.os.alive[0] as number, 1);
    await host.os.clock.settle();
    expect(service.state).toBe('open');
  });

  it('rests when its window is full, until there is room', async () => {
    const service = serviceOf(host, { maxRestarts: 2, windowMs: 100_000, backoffMs: 1000 });
    await ask(service);
    for (let turn = 1; turn <= 3; turn++) {
      // Each has held.
      await host.os.clock.advance(20_000);
      host.os.die(host.os.alive[0] as number, turn);
      await host.os.clock.advance(turn < 3 ? 5000 : 0);
    }
    await host.os.clock.settle();
    expect(service.state).toBe('open');
    // The first of the three ends leaves the window 100 s after it, which was 50 s ago.
    await host.os.clock.advance(49_999);
    expect(service.state).toBe('open');
    await host.os.clock.advance(OPEN_MS);
    expect(service.state).toBe('ready');
  });
});
