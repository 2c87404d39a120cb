// What a caller's words do to a process that runs, on the operating system in memory.
import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeSupervision } from '../../../kit/fake-supervisor.ts';
import type { SupervisedProcess } from '../../../src/index.ts';
import type { Platform } from '../../../src/os/os.ts';

let fake: FakeSupervision;

function setUp(platform?: Platform): void {
  fake?.[Symbol.dispose]();
  fake = new FakeSupervision({ guardian: false }, platform);
}
beforeEach(() => setUp());
afterEach(() => fake[Symbol.dispose]());

function start(signal?: AbortSignal): SupervisedProcess & { pid: number } {
  const process = fake.spawn('a', signal === undefined ? {} : { signal });
  return process as typeof process & { pid: number };
}

describe('kill', () => {
  it.each(['SIGTERM', 'SIGKILL', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGABRT'] as const)(
    'by %s ends it, and was meant to',
    async (signal) => {
      const process = start();
      expect(process.kill(signal)).toBe(true);
      expect(fake.os.log.at(-1)).toBe(`${signal} ${process.pid}`);
      expect(await fake.until(process.exited)).toMatchObject({
        ...{ cause: 'terminated', intentional: true },
        ...{ signal, forced: signal === 'SIGKILL' },
      });
    },
  );

  it.each(['SIGUSR1', 'SIGUSR2', 'SIGSEGV'] as const)(
    'by %s is between the caller and the process',
    async (signal) => {
      const process = start();
      expect(process.kill(signal)).toBe(true);
      expect(await fake.until(process.exited)).toMatchObject({ cause: 'crashed', signal });
    },
  );

  it('of what is dead does nothing', async () => {
    const process = start();
    fake.os.die(process.pid);
    await fake.until(process.exited);
    expect(process.kill()).toBe(false);
    expect(fake.os.log.filter((line) => line.startsWith('SIG'))).toEqual([]);
  });

  it.each(['SIGTERM', 'SIGKILL'] as const)(
    'by %s is the forced end of the whole tree where the system has no polite signal',
    async (signal) => {
      setUp('win32');
      const process = start();
      await fake.os.clock.settle();
      fake.os.fork(process.pid);
      expect(process.kill(signal)).toBe(true);
      const report = await fake.until(process.exited);
      expect(report).toMatchObject({ cause: 'terminated', forced: true });
      expect(fake.os.log).toContain(`end ${process.pid}`);
      expect(fake.os.alive).toEqual([]);
    },
  );
});

describe('its signal', () => {
  const causeOf = async (process: SupervisedProcess) => (await fake.until(process.exited)).cause;

  it('ends it by the ladder', async () => {
    const own = new AbortController();
    const process = start(own.signal);
    own.abort();
    expect(await causeOf(process)).toBe('aborted');
    expect(fake.os.timeline.slice(1)).toEqual([
      `0 EOF ${process.pid}`,
      `2000 SIGTERM -${process.pid}`,
    ]);
  });

  it('says more than the kill that the SDK sends before it', async () => {
    fake.os.reactions = { SIGTERM: { dieAfterMs: 10 } };
    const own = new AbortController();
    const process = start(own.signal);
    process.kill('SIGTERM');
    own.abort();
    expect(await causeOf(process)).toBe('aborted');
  });

  it('says less than whoever ends it already', async () => {
    const own = new AbortController();
    const process = start(own.signal);
    void process.terminate();
    process.kill('SIGTERM');
    own.abort();
    expect(await causeOf(process)).toBe('terminated');
  });

  it('is let go at the exit', async () => {
    const own = new AbortController();
    const process = start(own.signal);
    expect(getEventListeners(own.signal, 'abort')).not.toEqual([]);
    fake.os.die(process.pid);
    await fake.until(process.exited);
    expect(getEventListeners(own.signal, 'abort')).toEqual([]);
  });
});

describe('the ladder', () => {
  it('waits for stdin only as much longer as the caller has not waited since he ended it', async () => {
    const process = start();
    process.stdin.end();
    await fake.os.clock.advance(1500);
    void process.terminate();
    await fake.until(process.exited);
    expect(fake.os.timeline.slice(1)).toEqual([
      `0 EOF ${process.pid}`,
      `2000 SIGTERM -${process.pid}`,
    ]);
  });

  it('tells how long it has taken', async () => {
    await fake.os.clock.advance(1000);
    const process = start();
    process.stdout.resume();
    expect(await fake.until(process.terminate())).toMatchObject({ durationMs: 2000 });
  });
});

describe('while nothing can be read, by a look or otherwise', () => {
  const blind = () => {
    fake.os.lookError = fake.os.readError = new Error('EMFILE');
  };

  it('our own child is ended all the same, as its number can be nobody else’s', async () => {
    blind();
    const process = start();
    void process.terminate({ force: true });
    await fake.os.clock.settle();
    expect(fake.os.log).toContain(`SIGKILL -${process.pid}`);
  });

  it('one that others have started is not signalled', async () => {
    const { pid } = fake.os.add({ ppid: 1 });
    const process = await fake.until(fake.supervisor.adopt({ pid }));
    blind();
    const { survivors } = await fake.until(process.terminate({ force: true }));
    expect(survivors).toMatchObject([{ pid }]);
    expect(fake.os.log).toEqual([]);
  });
});

describe('what is told of it', () => {
  it('is its state, from its start to the end of its tree', async () => {
    fake.os.reactions = { EOF: 'die' };
    const process = start();
    const child = fake.os.fork(process.pid, { on: { SIGTERM: { dieAfterMs: 500 } } });
    const states = () => fake.supervisor.list().map(({ state }) => state);
    expect(states()).toEqual(['running']);
    const ended = process.terminate();
    expect(states()).toEqual(['ending']);
    expect(fake.os.alive).toContain(child.pid);
    await fake.until(ended);
    expect(states()).toEqual([]);
  });

  it('is what its tree costs', async () => {
    await fake.os.clock.advance(1000);
    const process = start();
    const child = fake.os.fork(process.pid, { command: 'child' });
    const unknown = fake.os.fork(child.pid, { command: 'unknown' });
    fake.os.usage.set(process.pid, { rssBytes: 100, cpuPercent: 1.5 });
    fake.os.usage.set(child.pid, { rssBytes: 20, cpuPercent: 2 });
    await fake.os.clock.advance(4000);
    const [inspection] = await fake.until(fake.supervisor.inspect());
    expect(inspection).toMatchObject({
      ...{ id: process.id, pid: process.pid, state: 'running' },
      ...{ ageMs: 4000, rssBytes: 120, cpuPercent: 3.5 },
      descendants: [
        { pid: child.pid, command: 'child' },
        { pid: unknown.pid, command: 'unknown' },
      ],
    });
  });
});
