import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { setInterval, setImmediate as turn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bearer, eventsOf, serve, TOKEN } from '../../../kit/doctor-site.ts';
import { FakeSupervision } from '../../../kit/fake-supervisor.ts';
import { EventStreams } from '../../../src/doctor/event-stream.ts';
import { doctorHandler } from '../../../src/doctor/handler.ts';
import { toNodeListener } from '../../../src/doctor/node-listener.ts';
import { SupervisorError } from '../../../src/index.ts';

let fake: FakeSupervision;

beforeEach(() => {
  fake = new FakeSupervision();
});
afterEach(() => fake[Symbol.dispose]());

function open(maxStreams = 64) {
  const { supervisor, os } = fake;
  const confidential = () => ({ secrets: [], folders: () => [] });
  const { clock } = os;
  const streams = new EventStreams({ supervisor, clock, maxStreams, confidential });
  return streams;
}

const LONG = 'x'.repeat(400);
const inMs = (ns: number): number => Math.round(ns / 1e6);

async function lastOf<T>(items: AsyncIterable<T>): Promise<T | undefined> {
  let last: T | undefined;
  for await (const item of items) last = item;
  return last;
}

const warn = (message: string) => fake.supervisor.internals.warn('TEST', message);

describe('the stream of events', () => {
  it('begins with hello, then sends each event with its number', async () => {
    const events = eventsOf(open().open() ?? null);
    expect((await events.next()).value).toEqual({
      ...{ id: undefined, event: 'hello', data: { version: 1, lastId: 0 } },
    });
    warn('one');
    fake.supervisor.internals.emit('stopping', { reason: undefined });
    const first = { id: '1', event: 'warning', data: { code: 'TEST', message: 'one' } };
    expect((await events.next()).value).toEqual(first);
    expect((await events.next()).value).toEqual({
      id: '2',
      event: 'stopping',
      data: { reason: null },
    });
  });

  it('tells a slow client how many events are missing, and goes on with the newest', async () => {
    const body = open().open() ?? null;
    for (let at = 1; at <= 5000; at++) warn(String(at));
    const events = eventsOf(body);
    expect((await events.next()).value).toEqual({
      ...{ id: undefined, event: 'lagged', data: { dropped: 4001 } },
    });
    expect((await events.next()).value).toMatchObject({ id: '4001', data: { message: '4001' } });
  });

  it('listens only while there is a client, and ends with the supervisor', async () => {
    const streams = open(2);
    const one = streams.open();
    const other = streams.open();
    expect(streams.open(), 'one too many').toBeUndefined();
    await one?.cancel();
    expect(streams.size).toBe(1);
    const read = lastOf(eventsOf(other ?? null));
    fake.supervisor.internals.emit('stopped', { durationMs: 1.4 });
    expect(await read).toEqual({ id: '1', event: 'stopped', data: { durationMs: 1 } });
    expect(streams.size).toBe(0);
    warn('nobody hears it');
    const events = eventsOf(streams.open() ?? null);
    expect((await events.next()).value).toMatchObject({ data: { lastId: 1 } });
  });

  it('is kept open by heartbeats, and closed when the client does not read them', async () => {
    const streams = open();
    const reader = streams.open()?.getReader();
    streams.open();
    await reader?.read();
    const text = reader?.read().then(({ value }) => new TextDecoder().decode(value));
    await fake.os.clock.advance(15_000);
    expect(await text).toBe(':\n\n');
    expect(streams.size).toBe(2);
    for (let beat = 0; beat < 3; beat++) {
      const next = reader?.read();
      await fake.os.clock.advance(15_000);
      await next;
    }
    expect(streams.size, 'the one that never reads').toBe(1);
  });

  it('shows only the code of an error, and no output of a process', async () => {
    const events = eventsOf(open().open() ?? null);
    await events.next();
    const error = new SupervisorError('CWD_NOT_FOUND', 'The folder /secret/place is not there.');
    const subject = { id: 'a-1', kind: 'agent', sessionId: undefined };
    fake.supervisor.internals.emit('refused', { ...subject, error });
    expect((await events.next()).value?.data).toEqual({
      ...{ id: 'a-1', kind: 'agent', sessionId: null, error: 'CWD_NOT_FOUND' },
    });
    fake.supervisor.internals.emit('exited', {
      ...{ ...subject, pid: 5, code: 1, signal: null, cause: 'failed', intentional: false },
      ...{ forced: false, durationMs: 10.4, pausedMs: 3.2 },
      ...{ stderrTail: 'words', leftovers: [], error },
    });
    expect((await events.next()).value?.data).toEqual({
      ...{ id: 'a-1', kind: 'agent', sessionId: null, pid: 5, code: 1, signal: null },
      ...{ cause: 'failed', intentional: false, forced: false, durationMs: 10, pausedMs: 3 },
      leftovers: 0,
      error: 'CWD_NOT_FOUND',
    });
  });
});

describe('a flood of events', () => {
  const CLIENTS = 20;
  const SECONDS = 5;
  const PER_SECOND = 1000;
  const HOST = fileURLToPath(new URL('../../fixtures/hosts/doctor.ts', import.meta.url));
  const SCRIPT = fileURLToPath(new URL('../../fixtures/stream-clients.mjs', import.meta.url));

  it('1,000 events a second to 20 clients, one of them deaf: bounded, and the host does not feel it', async () => {
    const { warn } = fake.supervisor.internals;
    const site = await serve(toNodeListener(doctorHandler(fake.supervisor, { token: TOKEN })));
    const args = [SCRIPT, `${site.url}/events`, TOKEN, String(CLIENTS)];
    const clients = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(clients, 'exit');
    try {
      const said = createInterface({ input: clients.stdout })[Symbol.asyncIterator]();
      expect((await said.next()).value).toBe('ready');
      const before = process.memoryUsage().rss;
      const delay = monitorEventLoopDelay({ resolution: 10 });
      delay.enable();
      const cpu = process.cpuUsage();
      const begunMs = performance.now();
      let sent = 0;
      for await (const _ of setInterval(10)) {
        const dueMs = Math.min(performance.now() - begunMs, SECONDS * 1000);
        while (sent < (dueMs * PER_SECOND) / 1000) warn('FLOOD', `event ${++sent} ${LONG}`);
        if (dueMs === SECONDS * 1000) break;
      }
      delay.disable();
      const { user, system } = process.cpuUsage(cpu);
      const cores = (user + system) / 1e6 / SECONDS;
      // More than the system's buffers can hold for the client that does not read.
      while (sent < 40_000) {
        for (let at = 0; at < 100; at++) warn('FLOOD', `event ${++sent} ${LONG}`);
        await turn();
      }
      warn('END', 'that is all');
      const grownBytes = process.memoryUsage().rss - before;
      const got = JSON.parse((await said.next()).value ?? '');
      const deaf = JSON.parse((await said.next()).value ?? '');
      console.info(
        `${PER_SECOND} events a second to ${CLIENTS} clients: event loop p50 ${inMs(delay.percentile(50))} ms, p99 ${inMs(delay.percentile(99))} ms, most ${inMs(delay.max)} ms, ${Math.round(100 * cores)} % of a core; after ${sent} events ${Math.round(grownBytes / 1e6)} MB more, and the deaf one has ${deaf.got}, ${deaf.missed} dropped`,
      );
      expect(got).toHaveLength(CLIENTS - 1);
      for (const one of got) expect(one.got + one.missed).toBe(sent);
      expect(deaf.got + deaf.missed).toBe(sent);
      expect(deaf.missed).toBeGreaterThan(1000);
      expect(grownBytes).toBeLessThan(100e6);
      // Only its own work is measured: other programs may delay a turn of the loop.
      expect(cores).toBeLessThan(0.5);
      expect(inMs(delay.percentile(50))).toBeLessThan(20);
    } finally {
      clients.kill('SIGKILL');
      await ended;
      await site.close();
    }
  });

  it('lets the host exit while clients are connected', async () => {
    const host = spawn(process.execPath, [HOST, fake.stateDir, TOKEN]);
    const ended = once(host, 'exit');
    const [port] = await once(createInterface({ input: host.stdout }), 'line');
    const url = `http://127.0.0.1:${port}/events`;
    const { body } = await fetch(url, { headers: bearer() });
    const events = eventsOf(body);
    expect((await events.next()).value).toMatchObject({ event: 'hello' });
    host.stdin.end();
    expect(await ended).toEqual([0, null]);
    await expect(events.next(), 'cut').rejects.toThrow();
  });
});
