// One agent per conversation, on the in-memory operating system.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type FakeProcess, UNKILLABLE } from '../../../kit/fake-os.ts';
import { FakeSupervision } from '../../../kit/fake-supervisor.ts';
import { standing } from '../../../kit/state-dir.ts';
import type {
  ExitReport,
  SpawnRequest,
  SupervisedProcess,
  SupervisorError,
  SupervisorOptions,
} from '../../../src/index.ts';

const UUID = '0c51e2a4-52c1-4b9e-8d5c-0b0f5a7c1e11';
const LADDER = { stdinEofMs: 10, termMs: 20, killMs: 20 };
/** Longer than the ladder. */
const LADDER_MS = 100;
const DEAF: FakeProcess['on'] = { SIGTERM: 'ignore' };

/** One request for a conversation, and everything that it was told. */
class Asked {
  readonly handle: SupervisedProcess;
  readonly told: string[] = [];
  report: ExitReport | undefined;

  constructor(handle: SupervisedProcess) {
    this.handle = handle;
    handle.started.then(
      () => this.told.push('started'),
      (error: SupervisorError) => this.told.push(error.code),
    );
    // Output that nobody reads is waited for.
    handle.stdout.resume();
    handle.on('exit', () => this.told.push('exit'));
    handle.on('error', () => this.told.push('error'));
    void handle.exited.then((report) => {
      this.told.push(report.cause);
      this.report = report;
    });
  }

  get pid(): number {
    return this.handle.pid ?? 0;
  }
}

class Host extends FakeSupervision {
  constructor(options: SupervisorOptions = {}) {
    super({ ladder: LADDER, pool: { concurrency: 5 }, ...options });
  }

  ask(command: string, request: Partial<SpawnRequest> = {}): Asked {
    return new Asked(this.spawn(command, { conversationId: UUID, ...request }));
  }

  /** The same through the hook, as the SDK asks. */
  query(command: string): Asked {
    const hook = this.supervisor.spawnHook({ conversationId: UUID });
    return new Asked(hook({ command, args: [] }));
  }

  /**
   * Runs everything that takes no time, repeatedly: an exit is reported over several turns of the
   * event loop.
   */
  async settle(): Promise<void> {
    for (let left = 3; left > 0; left--) await this.os.clock.settle();
  }

  pass(ms = LADDER_MS): Promise<void> {
    return this.os.clock.advance(ms);
  }

  /** The record ids in the conversation locks. */
  get claims(): string[] {
    return readdirSync(this.stateDir)
      .filter((name) => /^conversation-.*\.json$/.test(name))
      .map((name) => JSON.parse(readFileSync(join(this.stateDir, name), 'utf8')).id);
  }

  get launched(): string[] {
    return this.os.launches.map(({ command }) => command);
  }

  /**
   * Nothing was lost: as many processes as there are slots start at once, and the conversation's
   * agent too.
   */
  async expectFree(slots: number): Promise<void> {
    const asked = Array.from({ length: slots }, (_, at) =>
      at === 0 ? this.ask('fresh') : new Asked(this.spawn(`fresh ${at}`)),
    );
    expect(asked.map(({ pid }) => pid)).not.toContain(0);
    const stopped = this.supervisor.stop();
    await this.until(stopped);
    expect(this.os.alive).toEqual([]);
    const files = standing(this.stateDir).filter((name) => !name.startsWith('session-'));
    expect(files).toEqual([]);
  }
}

describe('a conversation without an agent', () => {
  it('is locked from the start of its agent to its death', async () => {
    using host = new Host();
    const first = host.ask('a');
    expect(host.claims).toEqual([first.handle.id]);
    host.os.die(first.pid);
    await host.until(first.handle.exited);
    expect(first.told).toEqual(['started', 'exit', 'completed']);
    expect(host.claims).toEqual([]);
    await host.expectFree(5);
  });

  it('is free again when its agent cannot be launched', async () => {
    using host = new Host({ pool: { concurrency: 1 } });
    host.os.failure = { code: 'COMMAND_NOT_FOUND', message: 'no such command', cause: undefined };
    const [first, second] = [host.ask('a'), host.ask('b')];
    await host.settle();
    expect([first.told, second.told]).toEqual(
      Array(2).fill(['COMMAND_NOT_FOUND', 'not-started', 'error']),
    );
    expect(host.claims).toEqual([]);
    host.os.failure = undefined;
    await host.expectFree(1);
  });

  it('takes no slot when the registry cannot be opened', async () => {
    using host = new Host({ pool: { concurrency: 1 }, stateDir: join(import.meta.filename, 'no') });
    const asked = [host.ask('a'), host.ask('b'), host.ask('c')];
    await host.settle();
    expect(asked.map(({ told }) => told)).toEqual(
      Array(3).fill(['STATE_DIR_UNSAFE', 'not-started', 'error']),
    );
  });
});

describe("'replace'", () => {
  it('starts the new agent when the older one is dead, and not before', async () => {
    using host = new Host();
    host.os.reactions = DEAF;
    const older = host.ask('older');
    host.os.reactions = {};
    const newer = host.ask('newer');
    await host.settle();
    expect(host.launched).toEqual(['older']);
    await host.pass();
    expect(host.os.timeline).toEqual([
      '0 launch older',
      `0 EOF ${older.pid}`,
      `10 SIGTERM -${older.pid}`,
      `30 SIGKILL -${older.pid}`,
      '30 launch newer',
    ]);
    expect(older.report).toMatchObject({ cause: 'duplicate', intentional: true, forced: true });
    expect(newer.told).toEqual(['started']);
    expect(host.claims).toEqual([newer.handle.id]);
    expect(host.eventsOf('ending')).toMatchObject([{ id: older.handle.id, cause: 'duplicate' }]);
    await host.pass();
    host.os.die(newer.pid);
    await host.settle();
    await host.expectFree(5);
  });

  it('waits for the last process of the tree', async () => {
    using host = new Host();
    const older = host.ask('older');
    const heir = host.os.fork(older.pid, {
      pgid: 900,
      sid: 900,
      pid: 900,
      on: { SIGTERM: { dieAfterMs: 15 } },
    });
    host.ask('newer');
    await host.pass();
    const deadMs = 10 + 15;
    expect(host.os.alive).not.toContain(heir.pid);
    const [launchMs] = host.os.timeline
      .filter((line) => line.endsWith('launch newer'))
      .map((line) => Number.parseInt(line, 10));
    expect(launchMs).toBeGreaterThanOrEqual(deadMs);
    await host.until(host.supervisor.stop());
  });

  it('runs three waiting requests one by one, each after the death of the one before', async () => {
    using host = new Host();
    host.os.reactions = { EOF: { dieAfterMs: 5 } };
    const asked = ['a', 'b', 'c', 'd'].map((name) => host.ask(name));
    await host.pass(1000);
    expect(host.os.log).toEqual(
      asked.flatMap(({ pid }, at) => [
        ...(at > 0 ? [`EOF ${asked[at - 1]?.pid}`] : []),
        `launch ${['a', 'b', 'c', 'd'][at]}`,
        ...(pid === 0 ? ['no pid'] : []),
      ]),
    );
    expect(asked.map(({ report }) => report?.cause)).toEqual([
      ...Array(3).fill('duplicate'),
      undefined,
    ]);
    expect(host.claims).toEqual([asked[3]?.handle.id]);
    await host.until(host.supervisor.stop());
    await host.supervisor.start();
    await host.expectFree(5);
  });

  it.each([
    ['the agent', false],
    ['a descendant', true],
  ])('refuses, and keeps the lock, as long as %s survives', async (_, descendant) => {
    using host = new Host();
    host.os.reactions = descendant ? {} : UNKILLABLE;
    const older = host.ask('older');
    host.os.reactions = {};
    const survivor = descendant ? host.os.fork(older.pid, { on: UNKILLABLE }).pid : older.pid;
    for (const newer of [host.ask('newer'), host.ask('newest')]) {
      await host.pass(2 * LADDER_MS);
      expect(newer.told).toEqual(['CONVERSATION_BUSY', 'not-started', 'error']);
      expect(newer.report?.error?.message).toContain(UUID);
    }
    expect(host.claims).toEqual([older.handle.id]);
    expect(host.launched).toEqual(['older']);
    host.os.die(survivor);
    await host.until(older.handle.exited);
    expect(host.claims).toEqual([]);
    await host.expectFree(5);
  });

  it('ends the older agent although it is only about to start', async () => {
    using host = new Host({ pool: { concurrency: 1 } });
    const first = new Asked(host.spawn('first'));
    const older = host.query('older');
    await host.settle();
    // The SDK may be about to cancel it: for 2.5 s it has its slot and its conversation, and does
    // not start.
    older.handle.stdin.end();
    host.os.die(first.pid);
    await host.settle();
    const newer = host.ask('newer');
    await host.pass(2500);
    expect(host.launched).toEqual(['first', 'older']);
    await host.pass();
    expect(older.report?.cause).toBe('duplicate');
    expect(newer.told).toEqual(['started']);
    host.os.die(newer.pid);
    await host.settle();
    await host.expectFree(1);
  });

  it('ends no agent for a request that was cancelled before the older agent started', async () => {
    using host = new Host({ pool: { concurrency: 2 } });
    const others = [new Asked(host.spawn('one')), new Asked(host.spawn('two'))];
    const older = host.query('older');
    older.handle.stdin.end();
    for (const { pid } of others) host.os.die(pid);
    await host.settle();
    const newer = host.ask('newer');
    await host.pass(1000);
    newer.handle.kill('SIGTERM');
    await host.pass(3000);
    expect(newer.told).toEqual(['ABORTED', 'not-started', 'exit']);
    expect(older.told).toEqual(['started']);
    host.os.die(older.pid);
    await host.settle();
    await host.expectFree(2);
  });

  it('works in a supervisor that was stopped and started while a survivor lived', async () => {
    using host = new Host();
    host.os.reactions = UNKILLABLE;
    const older = host.ask('older');
    host.os.reactions = {};
    await host.until(host.supervisor.stop());
    expect(host.claims).toEqual([older.handle.id]);
    await host.until(host.supervisor.start());
    const newer = host.ask('newer');
    await host.settle();
    host.os.die(older.pid);
    await host.until(newer.handle.started);
    // Other hosts find the holder, which has a journal of its own.
    const names = standing(host.stateDir);
    const claim = names.find((name) => name.startsWith('conversation-')) ?? '';
    const { owner } = JSON.parse(readFileSync(join(host.stateDir, claim), 'utf8'));
    expect(names).toContain(`host-${owner.instance}.jsonl`);
    host.os.die(newer.pid);
    await host.settle();
    await host.expectFree(5);
  });
});

describe('with a pool of one', () => {
  it('the request at the head of the queue ends the agent that holds its slot', async () => {
    using host = new Host({ pool: { concurrency: 1 } });
    const older = host.ask('older');
    const newer = host.ask('newer');
    await host.pass();
    expect(older.report?.cause).toBe('duplicate');
    expect(newer.told).toEqual(['started']);
    host.os.die(newer.pid);
    await host.settle();
    await host.expectFree(1);
  });

  it.each(['is granted', 'gives up'] as const)(
    'a request behind another one ends no agent until that one %s',
    async (fate) => {
      using host = new Host({ pool: { concurrency: 1 } });
      const older = host.ask('older', fate === 'is granted' ? { priority: 2 } : {});
      const before = new Asked(host.spawn('before', { priority: 1 }));
      const newer = host.ask('newer');
      await host.pass();
      expect(older.told).toEqual(['started']);
      expect(host.os.log).toEqual(['launch older']);
      if (fate === 'gives up') before.handle.kill('SIGTERM');
      else host.os.die(older.pid);
      await host.pass();
      if (fate === 'gives up') {
        expect(older.report?.cause).toBe('duplicate');
      } else {
        expect(before.told).toEqual(['started']);
        host.os.die(before.pid);
        await host.pass();
      }
      expect(newer.told).toEqual(['started']);
      host.os.die(newer.pid);
      await host.settle();
      await host.expectFree(1);
    },
  );

  it('an older agent without a slot goes on until the newer one has its own', async () => {
    using host = new Host({ pool: { concurrency: 1 } });
    const older = host.ask('older', { slot: false });
    const holder = new Asked(host.spawn('holder'));
    const newer = host.ask('newer');
    await host.pass();
    expect(older.told).toEqual(['started']);
    expect(newer.told).toEqual([]);
    host.os.die(holder.pid);
    await host.pass();
    expect(older.report?.cause).toBe('duplicate');
    expect(newer.told).toEqual(['started']);
    host.os.die(newer.pid);
    await host.settle();
    await host.expectFree(1);
  });

  it("'reject' waits for the slot, and ends no agent", async () => {
    using host = new Host({ pool: { concurrency: 1 } });
    const older = host.ask('older');
    const newer = host.ask('newer', { onDuplicate: 'reject' });
    await host.pass();
    expect(host.os.log).toEqual(['launch older']);
    host.os.die(older.pid);
    await host.settle();
    expect(newer.told).toEqual(['started']);
    await host.until(host.supervisor.stop());
  });

  it('three requests run one by one', async () => {
    using host = new Host({ pool: { concurrency: 1 } });
    const asked = ['a', 'b', 'c', 'd'].map((name) => host.ask(name));
    await host.pass(1000);
    expect(host.launched).toEqual(['a', 'b', 'c', 'd']);
    expect(asked.map(({ report }) => report?.cause)).toEqual([
      ...Array(3).fill('duplicate'),
      undefined,
    ]);
    host.os.die(asked[3]?.pid ?? 0);
    await host.settle();
    await host.expectFree(1);
  });
});

describe('a start that would be refused anyway ends no agent:', () => {
  const REASONS: [string, SupervisorOptions, Partial<SpawnRequest>, code: string][] = [
    ['a spent budget', { budget: { perHostUsd: 1 } }, {}, 'BUDGET_EXCEEDED'],
    ['a used rate', { spawnRate: { max: 1, windowMs: 1e6 } }, {}, 'SPAWN_RATE'],
  ];
  const POOLS = [1, 5];

  it.each(REASONS.flatMap((reason) => POOLS.map((slots) => [...reason, slots] as const)))(
    '%s',
    async (_what, options, request, code, concurrency) => {
      using host = new Host({ ...options, pool: { concurrency } });
      const older = host.ask('older');
      host.supervisor.charge(undefined, { usd: 1 });
      const newer = host.ask('newer', request);
      await host.pass();
      expect(older.told).toEqual(['started']);
      expect(host.claims).toEqual([older.handle.id]);
      // It waits for a slot, and is refused when there is one.
      if (concurrency === 1) host.os.die(older.pid);
      await host.pass();
      expect(newer.report).toMatchObject({ cause: 'not-started', error: { code } });
      await host.until(host.supervisor.stop());
    },
  );

  it('otherwise the older agent ends', async () => {
    using host = new Host({ budget: { perHostUsd: 1 }, spawnRate: { max: 2, windowMs: 1e6 } });
    const older = host.ask('older');
    host.ask('newer');
    await host.pass();
    expect(older.report?.cause).toBe('duplicate');
    await host.until(host.supervisor.stop());
  });
});

describe('leases', () => {
  it('replace and are replaced like any other agent', async () => {
    using host = new Host();
    const lease = await host.until(host.supervisor.acquire());
    const older = host.ask('older');
    const leased = new Asked(lease.spawn({ command: 'leased', conversationId: UUID }));
    await host.pass();
    expect(older.report?.cause).toBe('duplicate');
    expect(leased.told).toEqual(['started']);
    const newer = host.ask('newer');
    await host.pass();
    expect(leased.report?.cause).toBe('duplicate');
    expect(newer.told).toEqual(['started']);
    // The slot is still the lease's.
    const again = new Asked(lease.spawn({ command: 'again', onDuplicate: 'reject' }));
    expect(again.pid).not.toBe(0);
    host.os.die(again.pid);
    host.os.die(newer.pid);
    lease.release();
    await host.settle();
    await host.expectFree(5);
  });

  it('end no agent for a request that is aborted already', async () => {
    using host = new Host();
    const lease = await host.until(host.supervisor.acquire());
    const older = host.ask('older');
    const signal = AbortSignal.abort();
    const leased = new Asked(lease.spawn({ command: 'leased', conversationId: UUID, signal }));
    await host.pass();
    expect(leased.report).toMatchObject({ cause: 'not-started', error: { code: 'ABORTED' } });
    expect(older.told).toEqual(['started']);
    host.os.die(older.pid);
    lease.release();
    await host.settle();
    await host.expectFree(5);
  });
});

describe('a request that waits for the death of the older agent', () => {
  const SESSION = 'session';
  type Act = (host: Host, newer: Asked, abort: AbortController) => unknown;
  it.each<[what: string, act: Act, told: string[]]>([
    ['killed', (_, { handle }) => handle.kill('SIGTERM'), ['ABORTED', 'not-started', 'exit']],
    ['terminated', (_, { handle }) => handle.terminate(), ['ABORTED', 'not-started', 'exit']],
    ['aborted', (_host, _newer, abort) => abort.abort(), ['ABORTED', 'not-started', 'exit']],
    [
      'of a reaped session',
      ({ supervisor }) => supervisor.reapSession(SESSION),
      ['ABORTED', 'not-started', 'error'],
    ],
    [
      'of a session that has lasted too long',
      ({ os }) => os.clock.advanceInOneTick(20),
      ['SESSION_EXPIRED', 'not-started', 'error'],
    ],
    [
      'in a supervisor that stops',
      ({ supervisor }) => supervisor.stop(),
      ['STOPPING', 'not-started', 'error'],
    ],
    [
      'everything at once',
      (host, newer, abort) => {
        newer.handle.kill('SIGTERM');
        void newer.handle.terminate();
        abort.abort();
        void host.supervisor.reapSession(SESSION);
        host.os.clock.advanceInOneTick(20);
        void host.supervisor.stop();
        host.os.die(host.os.alive[0] ?? 0);
      },
      ['ABORTED', 'not-started', 'exit'],
    ],
  ])('has one outcome and frees its slot and conversation: %s', async (_, act, told) => {
    using host = new Host();
    const abort = new AbortController();
    host.os.reactions = DEAF;
    const older = host.ask('older');
    const newer = host.ask('newer', {
      sessionId: SESSION,
      maxWallClockMs: 12,
      signal: abort.signal,
    });
    await host.settle();
    expect(newer.told).toEqual([]);
    void act(host, newer, abort);
    await host.settle();
    expect(newer.told).toEqual(told);
    await host.pass();
    // The way down the ladder had begun.
    expect(older.told).toEqual(['started', 'exit', expect.stringMatching('duplicate')]);
    expect(newer.told).toEqual(told);
    await host.pass();
    host.os.reactions = {};
    await host.until(host.supervisor.stop());
    await host.until(host.supervisor.start());
    await host.expectFree(5);
  });
});

describe('the other policies', () => {
  it("'reject' refuses while the older agent lives", async () => {
    using host = new Host({ conversation: { onDuplicate: 'reject' } });
    const older = host.ask('older');
    const newer = host.ask('newer');
    await host.settle();
    expect(newer.told).toEqual(['CONVERSATION_BUSY', 'not-started', 'error']);
    expect(older.told).toEqual(['started']);
    host.os.die(older.pid);
    await host.until(older.handle.exited);
    expect(host.ask('last').pid).not.toBe(0);
    await host.until(host.supervisor.stop());
  });

  it("'takeover' ends this host's own agent as 'replace' does", async () => {
    using host = new Host();
    const older = host.ask('older');
    const newer = host.ask('newer', { onDuplicate: 'takeover' });
    await host.pass();
    expect([older.report?.cause, newer.told]).toEqual(['duplicate', ['started']]);
    await host.until(host.supervisor.stop());
  });

  it("'allow' starts both, and warns", async () => {
    using host = new Host();
    const older = host.ask('older');
    const newer = host.ask('newer', { onDuplicate: 'allow' });
    expect(host.os.alive).toEqual([older.pid, newer.pid]);
    expect(host.eventsOf('warning')).toMatchObject([{ code: 'CONVERSATION_SHARED' }]);
    expect(host.eventsOf('warning')[0]?.message).toContain(UUID);
    // A later 'replace' replaces both.
    const last = host.ask('last');
    await host.pass();
    expect(host.os.alive).toEqual([last.pid]);
    host.os.die(last.pid);
    await host.settle();
    await host.expectFree(5);
  });

  it("'allow' starts nothing and holds nothing if its request is taken back at the warning", async () => {
    using host = new Host({ pool: { concurrency: 1 } });
    const older = host.ask('older', { slot: false });
    const holder = new Asked(host.spawn('holder'));
    const newer = host.ask('newer', { onDuplicate: 'allow' });
    host.supervisor.on('warning', ({ code }) => {
      if (code === 'CONVERSATION_SHARED') newer.handle.kill();
    });
    host.os.die(holder.pid);
    await host.settle();
    expect(newer.told).toContain('not-started');
    expect(host.launched).toEqual(['older', 'holder']);
    host.os.die(older.pid);
    await host.settle();
    await host.expectFree(1);
  });

  it.each(
    (['replace', 'takeover', 'reject', 'allow'] as const).flatMap((policy) => [
      [policy, 'a new conversation', []] as const,
      [policy, 'a fork', ['--resume', crypto.randomUUID(), '--fork-session']] as const,
    ]),
  )(
    '%s: an id that is to be new is refused while somebody has it, for %s',
    async (onDuplicate, _what, more) => {
      using host = new Host();
      const hook = host.supervisor.spawnHook({ onDuplicate });
      const args = ['--session-id', UUID];
      const older = new Asked(hook({ command: 'older', args }));
      const newer = new Asked(hook({ command: 'newer', args: [...args, ...more] }));
      await host.settle();
      expect(newer.told).toEqual(['CONVERSATION_BUSY', 'not-started', 'error']);
      expect(newer.report?.error?.message).toMatch(/Choose another id, or resume it/);
      expect(older.told).toEqual(['started']);
      await host.until(host.supervisor.stop());
    },
  );

  it("have no effect on arguments that are not the agent SDK's", async () => {
    using host = new Host();
    const args = ['--resume', UUID];
    for (const name of ['one', 'two']) host.spawn(name, { args });
    expect(host.os.alive).toHaveLength(2);
    await host.until(host.supervisor.stop());
  });
});
