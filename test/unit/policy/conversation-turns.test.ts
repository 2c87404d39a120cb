// `onDuplicate: 'wait'`: one after the other, in order, and a waiter holds nothing.
import { readdirSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type FakeHost, FakeWorld, type Request } from '../../../kit/fake-world.ts';
import type { SupervisorOptions } from '../../../src/index.ts';

/** Enough for one look at the locks of other hosts. */
const LOOK_MS = 250;
/** How long a free conversation is left to a host that has waited longer. */
const PRECEDENCE_MS = 1000;

let world: FakeWorld;
beforeEach(() => {
  world = new FakeWorld();
});
afterEach(() => world[Symbol.dispose]());

const host = (options: SupervisorOptions = {}) =>
  world.host({ conversation: { onDuplicate: 'wait' }, ...options });
const end = async ({ pid }: Request) => {
  world.os.die(pid);
  await world.settle();
};
const reasonsOf = (of: FakeHost) => {
  const reasons: string[] = [];
  of.supervisor.on('queued', ({ reason }) => reasons.push(reason));
  return reasons;
};

describe('within a host', () => {
  it('each starts when the tree of the one before is dead, in order of arrival', async () => {
    const own = host();
    const reasons = reasonsOf(own);
    const [a, b, c] = ['a', 'b', 'c'].map((command) => own.ask(command)) as [
      Request,
      Request,
      Request,
    ];
    await world.settle();
    expect(world.launched).toEqual(['a']);
    const key = world.conversation;
    expect(reasons).toEqual([
      `an agent of this host runs conversation "${key}"`,
      `1 requests of this host wait for conversation "${key}" before it`,
    ]);
    await end(a);
    expect(world.launched).toEqual(['a', 'b']);
    await end(b);
    expect(world.launched).toEqual(['a', 'b', 'c']);
    await end(c);
    expect([a, b, c].map(({ told }) => told[0])).toEqual(['started', 'started', 'started']);
    expect(world.files).toEqual([]);
  });

  it('a waiter holds no slot, and keeps its place', async () => {
    const own = host({ pool: { concurrency: 2 } });
    const a = own.ask('a');
    const b = own.ask('b');
    await world.settle();
    expect(own.supervisor.internals.snapshot().pool.held).toBe(1);
    const other = own.ask('other', { conversationId: 'another' });
    await world.settle();
    expect(world.launched).toEqual(['a', 'other']);
    const later = own.ask('later', { conversationId: 'third' });
    await end(a);
    expect(world.launched).toEqual(['a', 'other', 'b']);
    await end(b);
    expect(world.launched).toEqual(['a', 'other', 'b', 'later']);
    await end(other);
    await end(later);
  });

  it('is aborted, reaped and stopped like any wait, and lets the next one go', async () => {
    const own = host();
    const a = own.ask('a');
    const abort = new AbortController();
    const b = own.ask('b', { signal: abort.signal });
    const c = own.ask('c', { sessionId: 's' });
    const d = own.ask('d');
    const e = own.ask('e');
    abort.abort();
    await world.until(own.supervisor.reapSession('s'));
    await end(a);
    expect([b, c].map(({ report }) => [report?.cause, report?.error?.code])).toEqual([
      ['not-started', 'ABORTED'],
      ['not-started', 'ABORTED'],
    ]);
    expect(world.launched).toEqual(['a', 'd']);
    await world.until(own.supervisor.stop());
    expect([d.report?.cause, e.report?.error?.code]).toEqual(['shutdown', 'STOPPING']);
    expect(world.files.filter((name) => name.startsWith('conversation'))).toEqual([]);
  });

  it('gives up within the time-out of a hook, with the reason', async () => {
    const own = host({ pool: { concurrency: 3, hookTimeoutMs: 5000 } });
    const hook = own.supervisor.spawnHook({ conversationId: world.conversation });
    const a = hook({ command: 'a', args: [] });
    const b = hook({ command: 'b', args: [] });
    const { error } = await world.until(b.exited);
    expect(error).toMatchObject({
      code: 'POOL_TIMEOUT',
      data: { reason: `an agent of this host runs conversation "${world.conversation}"` },
    });
    await world.until(a.terminate());
  });

  it('waits on the slot of a lease, too', async () => {
    const own = host({ pool: { concurrency: 2 } });
    const a = own.ask('a');
    const lease = await world.until(own.supervisor.acquire());
    const b = lease.spawn({ command: 'b', conversationId: world.conversation });
    await world.settle();
    expect(world.launched).toEqual(['a']);
    await end(a);
    expect(world.launched).toEqual(['a', 'b']);
    await world.until(b.terminate());
    lease.release();
    expect(own.supervisor.internals.snapshot().pool.held).toBe(0);
  });

  it('does not wait for an id that its agent would refuse', async () => {
    const own = host();
    const hook = own.supervisor.spawnHook();
    const args = ['--session-id', world.conversation];
    const a = hook({ command: 'a', args });
    const b = hook({ command: 'b', args });
    const { error } = await world.until(b.exited);
    expect(error?.code).toBe('CONVERSATION_BUSY');
    await world.until(a.terminate());
  });
});

describe('between hosts', () => {
  it('starts when the agent of the other host is dead, within about a second', async () => {
    const [theirs, ours] = [host(), host()];
    const reasons = reasonsOf(ours);
    const a = theirs.ask('a');
    await world.settle();
    const b = ours.ask('b');
    await world.settle();
    expect(reasons).toEqual([
      `conversation "${world.conversation}" is not free: another host runs it`,
    ]);
    expect(ours.supervisor.internals.snapshot().pool.held).toBe(0);
    await world.pass(10_000);
    expect(world.launched).toEqual(['a']);
    await end(a);
    await world.pass(LOOK_MS);
    expect(world.launched).toEqual(['a', 'b']);
    await end(b);
    expect(world.files).toEqual([]);
  });

  it('lets the host go first that has waited longest', async () => {
    const [theirs, first, second] = [host(), host(), host()];
    const a = theirs.ask('a');
    await world.settle();
    const b = first.ask('b');
    await world.pass(2000);
    const c = second.ask('c');
    await world.pass(2000);
    const d = theirs.ask('d');
    await world.settle();
    await end(a);
    await world.pass(PRECEDENCE_MS + LOOK_MS);
    expect(world.launched).toEqual(['a', 'b']);
    await end(b);
    await world.pass(PRECEDENCE_MS + LOOK_MS);
    expect(world.launched).toEqual(['a', 'b', 'c']);
    await end(c);
    await world.pass(PRECEDENCE_MS + LOOK_MS);
    expect(world.launched).toEqual(['a', 'b', 'c', 'd']);
    await end(d);
    expect(world.files).toEqual([]);
  });

  it('does not wait for one that has waited longer and cannot go', async () => {
    const [theirs, full, ours] = [host(), host({ pool: { concurrency: 1 } }), host()];
    const a = theirs.ask('a');
    await world.settle();
    const b = full.ask('b');
    await world.settle();
    const busy = full.ask('busy', { conversationId: 'another' });
    await world.settle();
    const c = ours.ask('c');
    await end(a);
    await world.pass(PRECEDENCE_MS + 2 * LOOK_MS);
    expect(world.launched).toEqual(['a', 'busy', 'c']);
    await end(busy);
    await end(c);
    await world.pass(PRECEDENCE_MS + LOOK_MS);
    expect(world.launched).toEqual(['a', 'busy', 'c', 'b']);
    await end(b);
  });

  it('does not wait for a host that died while it waited', async () => {
    const [theirs, dead, ours] = [host(), host(), host()];
    const a = theirs.ask('a');
    await world.settle();
    dead.ask('b');
    await world.settle();
    const c = ours.ask('c');
    await world.settle();
    dead.crash();
    await end(a);
    await world.pass(PRECEDENCE_MS + 2 * LOOK_MS);
    expect(world.launched).toEqual(['a', 'c']);
    await end(c);
    await world.until(ours.supervisor.sweep());
    expect(readdirSync(world.stateDir).filter((name) => name.endsWith('.waiting'))).toEqual([]);
  });

  it('starts after a host that was killed, once the rest of that is dead', async () => {
    const [theirs, ours] = [host(), host()];
    const a = theirs.ask('a');
    await world.settle();
    const b = ours.ask('b');
    await world.settle();
    theirs.crash();
    expect(world.os.get(a.pid).alive).toBe(true);
    await world.pass(3000);
    expect(world.launched).toEqual(['a', 'b']);
    expect(() => world.os.get(a.pid)).toThrow('there is no process');
    await end(b);
  });

  it('leaves nobody waiting when its host stops', async () => {
    const [theirs, ours] = [host(), host()];
    const a = theirs.ask('a');
    await world.settle();
    const b = ours.ask('b');
    await world.settle();
    await world.until(ours.supervisor.stop());
    expect(b.report?.error?.code).toBe('STOPPING');
    expect(world.files.filter((name) => name.endsWith('.waiting'))).toEqual([]);
    await end(a);
    await world.pass(LOOK_MS);
    expect(world.os.clock.timers.filter(({ keepAlive }) => keepAlive)).toEqual([]);
  });
});
