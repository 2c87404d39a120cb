import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeSupervision } from '../../../kit/fake-supervisor.ts';
import { catchUncaught } from '../../../kit/uncaught.ts';
import { EVENTS, type SupervisorEvents } from '../../../src/events.ts';

interface Message {
  readonly supervisor: object;
  readonly detail: object;
}

let fake: FakeSupervision;
let heard: { name: string | symbol; message: Message }[];
const listener = (message: unknown, name: string | symbol): void =>
  void heard.push({ name, message: message as Message });

beforeEach(() => {
  heard = [];
  fake = new FakeSupervision({ pool: { concurrency: 1 } });
  for (const event of EVENTS) subscribe(`agent-supervisor:${event}`, listener);
});
afterEach(() => {
  for (const event of EVENTS) unsubscribe(`agent-supervisor:${event}`, listener);
  fake[Symbol.dispose]();
});

describe('the diagnostics channels', () => {
  it('carry each event, under its own name, with the supervisor whose it is', async () => {
    const first = fake.spawn('a');
    const second = fake.spawn('b');
    await fake.until(first.terminate());
    await fake.until(second.started);
    await fake.until(fake.supervisor.stop());
    // The first sweep ends when it does.
    const names = heard.map(({ name }) => name).filter((name) => !String(name).endsWith('swept'));
    expect(names.map((name) => String(name).replace('agent-supervisor:', ''))).toEqual([
      ...['requested', 'started', 'requested', 'queued', 'ending', 'exited', 'started'],
      ...['stopping', 'ending', 'exited', 'stopped'],
    ]);
    expect(new Set(heard.map(({ message }) => message.supervisor))).toEqual(
      new Set([fake.supervisor]),
    );
    const exited = heard.find(({ name }) => name === 'agent-supervisor:exited');
    expect(exited?.message.detail).toBe(await first.exited);
  });

  it('carry the very events that on() tells', async () => {
    const told: object[] = [];
    for (const event of EVENTS) {
      fake.supervisor.on(event, (detail: SupervisorEvents[typeof event]) => void told.push(detail));
    }
    await fake.until(fake.spawn('a').terminate());
    await fake.until(fake.supervisor.sweep());
    expect(heard.map(({ message }) => message.detail)).toEqual(told);
    expect(heard.at(-1)?.name).toBe('agent-supervisor:swept');
  });

  it('tell one supervisor from another', async () => {
    using other = new FakeSupervision();
    fake.spawn('a');
    other.spawn('b');
    const supervisors = heard.map(({ message }) => message.supervisor);
    expect(supervisors).toEqual([
      ...[fake.supervisor, fake.supervisor],
      ...[other.supervisor, other.supervisor],
    ]);
    await other.until(other.supervisor.stop());
  });

  it('keep what a subscriber throws away from the supervisor', async () => {
    const boom = new Error('boom');
    const uncaught = catchUncaught();
    const thrower = vi.fn(() => {
      throw boom;
    });
    subscribe('agent-supervisor:started', thrower);
    try {
      expect(fake.spawn('a').pid).toBe(100);
      await fake.os.clock.settle();
      expect(uncaught).toMatchObject({ exceptions: [boom], rejections: [] });
    } finally {
      unsubscribe('agent-supervisor:started', thrower);
      uncaught.restore();
    }
  });
});
