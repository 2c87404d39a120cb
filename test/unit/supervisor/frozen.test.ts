// A host that stands still for a while, on a clock of the test's: what has a limit or a deadline gets
// the rest of its time afterwards, and what is counted by the clock on the wall is over.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UNKILLABLE } from '../../../kit/fake-os.ts';
import { FakeSupervision } from '../../../kit/fake-supervisor.ts';
import type { Limits, SupervisedProcess } from '../../../src/index.ts';
import { defineService } from '../../../src/service/index.ts';

const FREEZE_MS = 10_000;
const RESULT = '{"type":"result","subtype":"success"}\n';

let fake: FakeSupervision;
const options = {
  guardian: false,
  pool: { concurrency: 1, waitTimeoutMs: 3000 },
  ladder: { stdinEofMs: 3000, termMs: 3000, killMs: 3000 },
};
beforeEach(() => {
  fake = new FakeSupervision(options);
});
afterEach(() => fake[Symbol.dispose]());

const agent = (limits: Limits = {}): SupervisedProcess => {
  const process = fake.supervisor.spawnHook({ limits })({ command: 'agent', args: [] });
  process.stdout.resume();
  return process;
};
const stubborn = (): SupervisedProcess => {
  fake.os.reactions = UNKILLABLE;
  return agent();
};
/** What was done to processes, without the times. */
const done = () => fake.os.log.filter((line) => !line.startsWith('launch'));

/** What waits for 3 s of running time, and how to see that they are over. */
type Wait = () => () => unknown;
const endOf = ({ id }: SupervisedProcess) => {
  return () => fake.eventsOf('ending').find((ending) => ending.id === id)?.cause;
};
const outcomeOf = (promise: Promise<unknown>): (() => unknown) => {
  let outcome: unknown;
  promise.then(
    (value) => {
      outcome = value;
    },
    (error) => {
      outcome = error.code;
    },
  );
  return () => outcome;
};

const WAITS: readonly [string, unknown, Wait][] = [
  ['a start-up', 'startup', () => endOf(agent({ startupMs: 3000 }))],
  ['a lifetime', 'lifetime', () => endOf(agent({ lifetimeMs: 3000 }))],
  [
    'idleness',
    'idle',
    () => {
      const process = agent({ idleMs: 2600 });
      fake.os.child(process.pid ?? 0).stdout.write(RESULT);
      return endOf(process);
    },
  ],
  [
    'the first step of the ladder',
    'SIGTERM -100',
    () => {
      void stubborn().terminate();
      return () => done().find((line) => line.startsWith('SIGTERM'));
    },
  ],
  [
    'the second step of the ladder',
    'SIGKILL -100',
    () => {
      const process = stubborn();
      fake.os.child(process.pid ?? 0).stdin.end();
      void fake.os.clock.advance(0).then(() => process.terminate({ deadlineMs: 6000 }));
      return () => done().find((line) => line.startsWith('SIGKILL'));
    },
  ],
  [
    'the last step of the ladder',
    [100],
    () => {
      const report = stubborn().terminate({ force: true });
      return outcomeOf(report.then(({ survivors }) => survivors.map(({ pid }) => pid)));
    },
  ],
  [
    'a stop that lets things finish',
    'shutdown',
    () => {
      const process = agent();
      void fake.supervisor.stop({ finishMs: 3000 });
      return endOf(process);
    },
  ],
  [
    'the deadline of a stop',
    [100],
    () => {
      stubborn();
      const report = fake.supervisor.stop({ deadlineMs: 3000 });
      return outcomeOf(report.then(({ survivors }) => survivors.map(({ pid }) => pid)));
    },
  ],
  [
    "a host's own part of its end",
    'raise SIGTERM',
    () => {
      fake.supervisor.handleSignals({ hook: () => new Promise(() => {}), hookTimeoutMs: 3000 });
      fake.os.receive('SIGTERM');
      return () => fake.os.log.find((line) => line === 'raise SIGTERM');
    },
  ],
  [
    'a wait for a slot',
    'POOL_TIMEOUT',
    () => {
      agent();
      return outcomeOf(fake.supervisor.acquire());
    },
  ],
  [
    'a lease that nobody uses',
    'LEASE_UNUSED',
    () => {
      void fake.supervisor.acquire();
      return () => fake.eventsOf('warning').find(({ code }) => code === 'LEASE_UNUSED')?.code;
    },
  ],
  [
    'the readiness of a service',
    'terminated',
    () => {
      const ready = { stdout: /ready/, timeoutMs: 3000 };
      const service = defineService(fake.supervisor, { name: 's', command: 's', ready });
      service.ensure().catch(() => undefined);
      return () => fake.eventsOf('ending')[0]?.cause;
    },
  ],
];

describe('a host that stands still uses nothing up of', () => {
  it.each(WAITS)('%s', async (_what, outcome, begin) => {
    const { clock } = fake.os;
    await fake.supervisor.start();
    const seen = begin();
    await clock.advance(2500);
    expect(seen()).toBeUndefined();
    await clock.freeze(FREEZE_MS);
    await clock.advance(100);
    expect(seen()).toBeUndefined();
    // A little more than is left: what is polled for is seen at the next poll.
    await clock.advance(500);
    expect(seen()).toEqual(outcome);
  });

  it.each(WAITS)('%s, which would be over if that time counted', async (_what, outcome, begin) => {
    const { clock } = fake.os;
    await fake.supervisor.start();
    const seen = begin();
    await clock.advance(2500);
    await clock.advance(FREEZE_MS);
    expect(seen()).toEqual(outcome);
  });

  it('a request that the SDK may be about to take back', async () => {
    const holder = agent();
    const process = agent();
    process.stdin.end();
    await fake.os.clock.advance(2000);
    fake.os.die(holder.pid ?? 0);
    await fake.until(holder.exited);
    await fake.os.clock.freeze(FREEZE_MS);
    expect(fake.os.launches).toHaveLength(1);
    await fake.os.clock.advance(500);
    expect(fake.os.launches).toHaveLength(2);
  });
});

describe('a report', () => {
  it('says how much of its time the host stood still', async () => {
    const process = agent();
    await fake.os.clock.advance(1000);
    await fake.os.clock.freeze(FREEZE_MS);
    await fake.os.clock.advance(1000);
    fake.os.die(process.pid ?? 0);
    const report = await fake.until(process.exited);
    expect(report).toMatchObject({ durationMs: 2000 + FREEZE_MS, pausedMs: FREEZE_MS });
  });

  it('counts no time before the start, nor a pause too short to be a gap', async () => {
    await fake.os.clock.freeze(FREEZE_MS);
    const process = agent();
    await fake.os.clock.freeze(2000);
    fake.os.die(process.pid ?? 0);
    expect(await fake.until(process.exited)).toMatchObject({ durationMs: 2000, pausedMs: 0 });
    const refused = fake.spawn('x', { signal: AbortSignal.abort() });
    expect(await fake.until(refused.exited)).toMatchObject({ durationMs: 0, pausedMs: 0 });
  });
});

describe('what goes by the clock on the wall goes on', () => {
  it('a session', async () => {
    const request = { sessionId: 's', maxWallClockMs: 5000, slot: false };
    const process = fake.spawn('a', request);
    await fake.os.clock.advance(1000);
    await fake.os.clock.freeze(FREEZE_MS);
    expect(fake.eventsOf('session-expired')).toMatchObject([{ ageMs: 1000 + FREEZE_MS }]);
    expect(await fake.until(process.exited)).toMatchObject({ cause: 'wall-clock' });
  });

  it('the time of a wait, as it is told', async () => {
    agent();
    agent();
    await fake.os.clock.freeze(60_000);
    expect(fake.eventsOf('waiting')).toMatchObject([{ waitedMs: 60_000 }]);
  });
});
