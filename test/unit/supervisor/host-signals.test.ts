// What a signal does to a supervisor, decided in memory.
import { describe, expect, it } from 'vitest';
import { FakeSupervision } from '../../../kit/fake-supervisor.ts';

const warningsOf = (fake: FakeSupervision) => fake.eventsOf('warning').map(({ code }) => code);

/** One that has a process which ignores everything polite. */
async function stubborn(fake: FakeSupervision) {
  fake.os.reactions = { EOF: 'ignore', SIGTERM: 'ignore' };
  const child = fake.spawn('a');
  await fake.until(child.started);
  return child;
}

describe('handleSignals', () => {
  it.each([
    ['the same signal within a second', 'SIGTERM', 999, false],
    ['the same signal later', 'SIGTERM', 1000, true],
    ['another signal at once', 'SIGINT', 0, true],
  ] as const)('on %s', async (_what, signal, afterMs, forces) => {
    using fake = new FakeSupervision({ ladder: { stdinEofMs: 0, termMs: 60_000, killMs: 1000 } });
    fake.supervisor.handleSignals();
    const child = await stubborn(fake);
    fake.os.receive('SIGTERM');
    await fake.os.clock.advance(afterMs);
    fake.os.receive(signal);
    await fake.os.clock.advance(2000);
    expect(fake.os.log.includes(`SIGKILL -${child.pid}`)).toBe(forces);
    expect(fake.os.log.includes('raise SIGTERM')).toBe(forces);
    await fake.os.clock.advance(60_000);
    expect(fake.os.log).toContain('raise SIGTERM');
  });

  it('tells a host that lives on after five seconds', async () => {
    using fake = new FakeSupervision();
    fake.os.hostListeners = 1;
    fake.supervisor.handleSignals();
    fake.os.receive('SIGTERM');
    await fake.os.clock.advance(4900);
    expect(warningsOf(fake)).toEqual([]);
    await fake.os.clock.advance(200);
    expect(warningsOf(fake)).toEqual(['HOST_STAYS']);
    expect(fake.os.log).not.toContain('raise SIGTERM');
  });

  it('runs all hooks at once, the latest of a name, and counts the latest times', async () => {
    using fake = new FakeSupervision();
    const ran: string[] = [];
    const hook = (name: string) => () => void ran.push(name);
    const { supervisor } = fake;
    supervisor.handleSignals({ hook: hook('a'), finishMs: 60_000 });
    supervisor.handleSignals({ name: 'x', hook: hook('first x') });
    supervisor.handleSignals({ name: 'x', hook: hook('second x') });
    supervisor.handleSignals({ signals: ['SIGHUP'], hook: hook('never') });
    const off = supervisor.handleSignals({ hook: hook('taken off') });
    off();
    off();
    await stubborn(fake);
    expect(fake.os.signalListeners('SIGTERM').ours).toBe(1);
    fake.os.receive('SIGTERM');
    await fake.os.clock.advance(20_000);
    expect(ran).toEqual(['a', 'second x']);
    expect(fake.os.log).toContain('raise SIGTERM');
    expect(fake.os.signalListeners('SIGHUP').ours).toBe(0);
  });

  it.each(['SIGKILL', 'SIGSTOP', 'SIGTREM', 'TERM', 15])('refuses to listen for %s', (signal) => {
    using fake = new FakeSupervision();
    const signals = ['SIGTERM', signal as 'SIGTERM'] as const;
    expect(() => fake.supervisor.handleSignals({ signals })).toThrow(
      expect.objectContaining({
        code: 'INVALID_OPTIONS',
        data: expect.objectContaining({ field: 'signals[1]' }),
      }),
    );
  });

  it('handles signals again once the supervisor has been started again', async () => {
    using fake = new FakeSupervision();
    fake.os.hostListeners = 1;
    fake.supervisor.handleSignals();
    fake.os.receive('SIGTERM');
    await fake.os.clock.advance(10);
    await fake.until(fake.supervisor.start());
    fake.os.hostListeners = 0;
    fake.supervisor.handleSignals();
    fake.os.receive('SIGTERM');
    await fake.os.clock.advance(10);
    expect(fake.os.log).toContain('raise SIGTERM');
  });
});
