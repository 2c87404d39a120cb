// Whose turn it is, and in whose name it starts.
import { AsyncLocalStorage } from 'node:async_hooks';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeSupervision } from '../../../kit/fake-supervisor.ts';

let fake: FakeSupervision;

beforeEach(() => {
  fake = new FakeSupervision({ pool: { concurrency: 1 } });
});
afterEach(() => fake[Symbol.dispose]());

describe('a slot', () => {
  it('is free for whom `exited` wakes: the next one starts in that very tick', async () => {
    const first = fake.spawn('a');
    const next = first.exited.then(() => fake.spawn('b').pid);
    fake.os.die(100);
    await fake.until(next);
    expect(await next).toBe(101);
  });

  it('is free for a listener of the event `exited`', async () => {
    let pid: number | undefined;
    fake.supervisor.on('exited', () => {
      pid ??= fake.spawn('b').pid;
    });
    const first = fake.spawn('a');
    fake.os.die(100);
    await fake.until(first.exited);
    expect(pid).toBe(101);
  });

  it('is free in the tick in which a lease gives it back', async () => {
    const lease = await fake.supervisor.acquire();
    lease.release();
    expect(fake.spawn('a').pid).toBe(100);
  });
});

describe('a request that had to wait', () => {
  it('is taken at once by a process whose whole prompt was written while it waited', async () => {
    const holder = fake.spawn('a');
    const waiter = fake.spawn('b');
    waiter.stdin.end('prompt');
    fake.os.die(holder.pid ?? 0);
    await fake.until(waiter.started);
    expect(fake.os.clock.monotonicMs()).toBeLessThan(1000);
  });

  it('starts in the async context in which it was made, whoever made room', async () => {
    const context = new AsyncLocalStorage<string>();
    const seen: (string | undefined)[] = [];
    const onSpawn = () => seen.push(context.getStore());
    const first = context.run('first', () => fake.spawn('a', { onSpawn }));
    const second = context.run('second', () => fake.spawn('b', { onSpawn }));
    context.run('somebody else', () => fake.os.die(100));
    await fake.until(Promise.all([first.exited, second.started]));
    expect(seen).toEqual(['first', 'second']);
  });
});
