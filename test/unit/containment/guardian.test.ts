// When a guardian is started, told and started again; what it does is in test/system/containment.
import { describe, expect, it } from 'vitest';
import { FakeOs } from '../../../kit/fake-os.ts';
import { Guardian } from '../../../src/containment/guardian.ts';
import type { GuardedCleanup } from '../../../src/os/os.ts';

const REQUEST = { owner: 'test', politeMs: 1, forcedMs: 1 };

class Ward extends FakeOs {
  /** Of each guardian that was started: what it was told. */
  readonly told: string[][] = [];
  readonly warnings: string[] = [];
  /** What the next starts fail with. */
  guardFailure: Error | undefined;
  /** Whether somebody has stopped them. */
  stopped = false;
  /** When the next ones guard. */
  ready = Promise.resolve();
  #exits: (() => void)[] = [];

  guard() {
    if (this.guardFailure !== undefined) throw this.guardFailure;
    const told: string[] = [];
    this.told.push(told);
    return {
      pid: this.told.length,
      ready: this.ready,
      write: (line: string) => void told.push(line),
      addCleanup: (key: number, { command }: GuardedCleanup) =>
        void told.push(`cleanup ${key} ${command}`),
      onExit: (listener: () => void) => void this.#exits.push(listener),
      isStopped: () => this.stopped,
    };
  }

  killGuard(): void {
    this.#exits.at(-1)?.();
  }

  async watch(): Promise<Guardian> {
    const guardian = new Guardian(this, REQUEST, (message) => this.warnings.push(message));
    await guardian.ready;
    return guardian;
  }
}

describe('a guardian', () => {
  it('is told of each group, and that it is empty, once', async () => {
    const os = new Ward();
    const guardian = await os.watch();
    expect(guardian.describe()).toEqual({ state: 'guarding', pid: 1 });
    guardian.register(100, '7');
    guardian.register(101, undefined);
    guardian.forget(100, '7');
    guardian.forget(100, '7');
    guardian.forget(101, undefined);
    expect(os.told).toEqual([['+ 100 7', '+ 101 ', '- 100', '- 101']]);
  });

  it('is told of each cleanup until it was run, and a new one of those that are left', async () => {
    const os = new Ward();
    const guardian = await os.watch();
    const cleanup = { args: [], env: {}, timeoutMs: 1 };
    guardian.addCleanup('a', { ...cleanup, command: 'first' });
    guardian.addCleanup('b', { ...cleanup, command: 'second' });
    guardian.cleanedUp('a');
    guardian.cleanedUp('a');
    guardian.cleanedUp('nobody');
    expect(os.told).toEqual([['cleanup 1 first', 'cleanup 2 second', 'cleaned 1']]);
    os.killGuard();
    await os.clock.advance(1000);
    expect(os.told[1]).toEqual(['cleanup 2 second']);
  });

  it('keeps a group whose number was that of a process whose leftovers have ended now', async () => {
    const os = new Ward();
    const guardian = await os.watch();
    guardian.register(100, '7');
    guardian.register(100, '8');
    guardian.forget(100, '7');
    expect(os.told).toEqual([['+ 100 7', '+ 100 8']]);
  });

  it('that dies is started again after a second, and told what its predecessor knew', async () => {
    const os = new Ward();
    const guardian = await os.watch();
    guardian.register(100, '7');
    os.killGuard();
    expect(guardian.describe().state).toBe('missing');
    expect(os.warnings).toEqual(['The guardian died and is started again.']);
    await os.clock.advance(999);
    expect(os.told).toHaveLength(1);
    await os.clock.advance(1);
    expect(os.told).toEqual([['+ 100 7'], ['+ 100 7']]);
    expect(guardian.describe()).toEqual({ state: 'guarding', pid: 2 });
  });

  it('that dies after a longer life is started again at once', async () => {
    const os = new Ward();
    await os.watch();
    await os.clock.advance(5000);
    os.killGuard();
    await os.clock.advance(0);
    expect(os.told).toHaveLength(2);
  });

  it('that dies before it guards is told of by its start alone', async () => {
    const os = new Ward();
    const notReady = Promise.withResolvers<void>();
    os.ready = notReady.promise;
    const guardian = new Guardian(os, REQUEST, (message) => os.warnings.push(message));
    expect(guardian.describe()).toEqual({ state: 'starting', pid: 1 });
    os.killGuard();
    notReady.reject(new Error('it is gone'));
    await guardian.ready;
    expect(os.warnings).toEqual([expect.stringContaining('could not be started')]);
    await os.clock.advance(60_000);
    expect(os.told).toHaveLength(1);
  });

  it('that cannot be started again is tried for every second, with one warning', async () => {
    const os = new Ward();
    const guardian = await os.watch();
    os.guardFailure = new Error('EMFILE');
    os.killGuard();
    await os.clock.advance(5000);
    expect(os.warnings).toHaveLength(2);
    expect(guardian.describe().state).toBe('missing');
    os.guardFailure = undefined;
    await os.clock.advance(1000);
    expect(guardian.describe().state).toBe('guarding');
    expect(os.warnings).toHaveLength(2);
  });

  it('that never guarded is warned of, and not tried again', async () => {
    const os = new Ward();
    os.guardFailure = new Error('no shell');
    const guardian = await os.watch();
    os.guardFailure = undefined;
    await os.clock.advance(60_000);
    expect(os.told).toEqual([]);
    expect(os.warnings).toHaveLength(1);
    expect(guardian.describe()).toEqual({ state: 'missing', pid: undefined });
  });

  it('that was told to go is not started again', async () => {
    const os = new Ward();
    const guardian = await os.watch();
    guardian.disarm();
    os.killGuard();
    await os.clock.advance(60_000);
    expect(os.told).toEqual([['disarm']]);
    expect(os.warnings).toEqual([]);
  });

  it('is not started again for a host that stopped meanwhile', async () => {
    const os = new Ward();
    const guardian = await os.watch();
    os.killGuard();
    guardian.disarm();
    await os.clock.advance(60_000);
    expect(os.told).toEqual([[]]);
  });

  it('that is stopped is told of once a stop, by whoever reviews it', async () => {
    const os = new Ward();
    const guardian = await os.watch();
    guardian.review();
    expect(os.warnings).toEqual([]);
    os.stopped = true;
    expect(guardian.describe()).toEqual({ state: 'stopped', pid: 1 });
    for (let sweep = 1; sweep <= 3; sweep++) guardian.review();
    expect(os.warnings).toEqual([expect.stringMatching(/pid 1.*is stopped.*SIGCONT/)]);
    os.stopped = false;
    guardian.review();
    os.stopped = true;
    guardian.review();
    expect(os.warnings).toHaveLength(2);
  });
});
