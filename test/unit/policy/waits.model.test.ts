// Random requests of two hosts that wait for slots, for the hard cap and for conversations: nothing is
// lost or doubled, nobody waits for ever, and each request has exactly one outcome.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type FakeHost, FakeWorld, Request } from '../../../kit/fake-world.ts';
import { runs } from '../../../kit/property.ts';

const CONCURRENCY = 2;
const HARD_CAP = 3;
const CONVERSATIONS = ['one', 'two', undefined];

type Step =
  | { readonly do: 'ask' | 'hook' | 'tool'; readonly host: number; readonly conversation: number }
  | { readonly do: 'end' | 'abort' | 'reap'; readonly which: number }
  | { readonly do: 'lease' | 'give-back'; readonly host: number }
  | { readonly do: 'pass'; readonly ms: number };

const host = fc.nat(1);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    arbitrary: fc.record({
      do: fc.constantFrom('ask' as const, 'hook' as const, 'tool' as const),
      host,
      conversation: fc.nat(CONVERSATIONS.length - 1),
    }),
    weight: 4,
  },
  { arbitrary: fc.record({ do: fc.constant('end' as const), which: fc.nat(20) }), weight: 3 },
  fc.record({ do: fc.constantFrom('abort' as const, 'reap' as const), which: fc.nat(20) }),
  fc.record({ do: fc.constantFrom('lease' as const, 'give-back' as const), host }),
  fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(1, 300, 2000, 70_000) }),
);

/** Every reason to wait that was told, without its numbers. */
const reasons = new Set<string>();

interface Asked {
  readonly request: Request;
  readonly host: FakeHost;
  readonly conversation: string | undefined;
  readonly abort: AbortController;
}

class Model {
  readonly world = new FakeWorld();
  readonly hosts = [0, 1].map(() =>
    this.world.host({
      pool: { concurrency: CONCURRENCY, hardCap: HARD_CAP },
      conversation: { onDuplicate: 'wait' },
    }),
  );
  readonly asked: Asked[] = [];
  readonly leases = new Map<FakeHost, { release(): void }[]>(this.hosts.map((each) => [each, []]));
  pendingLeases = 0;

  get running(): Asked[] {
    return this.asked.filter(({ request: { handle, report } }) => handle.pid && !report);
  }

  async take(step: Step): Promise<void> {
    if ('ms' in step) await this.world.pass(step.ms);
    else if ('conversation' in step) this.ask(step);
    else if ('which' in step) this.end(step);
    else if (step.do === 'lease') this.lease(this.hosts[step.host] as FakeHost);
    else
      this.leases
        .get(this.hosts[step.host] as FakeHost)
        ?.pop()
        ?.release();
    await this.world.settle();
    this.check();
  }

  ask({ do: how, host: at, conversation: which }: Extract<Step, { conversation: number }>): void {
    const own = this.hosts[at] as FakeHost;
    const abort = new AbortController();
    const sessionId = `session-${this.asked.length}`;
    const conversation = how === 'tool' ? undefined : CONVERSATIONS[which];
    const common = { sessionId, ...(conversation && { conversationId: conversation }) };
    const { supervisor } = own;
    const handle =
      how === 'hook'
        ? supervisor.spawnHook(common)({ command: 'a', args: [], signal: abort.signal })
        : supervisor.spawn({
            ...{ command: how, signal: abort.signal, ...common },
            kind: how === 'tool' ? 'tool' : 'agent',
          });
    this.asked.push({ request: new Request(handle), host: own, conversation, abort });
  }

  /** Notes why requests wait. */
  listen(): void {
    for (const { supervisor } of this.hosts)
      supervisor.on('queued', ({ reason }) => reasons.add(reason.replace(/\d+/g, 'N')));
  }

  lease(own: FakeHost): void {
    this.pendingLeases++;
    const done = () => this.pendingLeases--;
    void own.supervisor.acquire({ unusedMs: null }).then(
      (lease) => {
        done();
        this.leases.get(own)?.push(lease);
      },
      (error) => {
        done();
        expect(error.code).toBe('POOL_TIMEOUT');
      },
    );
  }

  end({ do: how, which }: Extract<Step, { which: number }>): void {
    const among = how === 'end' ? this.running : this.asked;
    const one = among[which % (among.length || 1)];
    if (one === undefined) return;
    if (how === 'end') this.world.os.die(one.request.pid);
    else if (how === 'abort') one.abort.abort();
    else void one.host.supervisor.reapSession(`session-${this.asked.indexOf(one)}`);
  }

  check(): void {
    const { running } = this;
    for (const conversation of ['one', 'two'])
      expect(running.filter((each) => each.conversation === conversation).length).toBeLessThan(2);
    for (const own of this.hosts) {
      const { pool } = own.supervisor.internals.snapshot();
      expect(pool.held).toBeLessThanOrEqual(CONCURRENCY);
      const idle = this.leases.get(own)?.length ?? 0;
      const live = running.filter((each) => each.host === own).length;
      expect(live + idle).toBeLessThanOrEqual(HARD_CAP);
      // What has a slot runs, or is a lease: a waiter holds none.
      const agents = own.supervisor.list().filter(({ holdsSlot }) => holdsSlot).length;
      expect(pool.held).toBe(agents + idle);
    }
  }

  /** Ends everything as it comes, and expects an outcome for each request. */
  async finish(): Promise<void> {
    for (let round = 0; round < 3 * this.asked.length + 5; round++) {
      for (const leases of this.leases.values())
        for (const lease of leases.splice(0)) lease.release();
      for (const { request } of this.running) this.world.os.die(request.pid);
      await this.world.pass(1500);
      this.check();
    }
    expect(this.pendingLeases).toBe(0);
    for (const { request } of this.asked) {
      const outcomes = request.told.filter((word) => word !== 'started');
      expect(outcomes).toHaveLength(1);
      const allowed = [
        'completed',
        'failed',
        'crashed',
        'aborted',
        'reaped',
        'ABORTED',
        'HARD_CAP',
      ];
      expect(allowed).toContain(outcomes[0]);
    }
    for (const own of this.hosts) {
      const { pool } = own.supervisor.internals.snapshot();
      expect([pool.held, pool.waiting.size]).toEqual([0, 0]);
    }
    const left = this.world.files.filter((name) => name.startsWith('conversation'));
    expect(left).toEqual([]);
  }
}

it('holds for random histories', { timeout: 120_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 40, size: 'max' }),
      async (steps) => {
        const model = new Model();
        try {
          model.listen();
          for (const own of model.hosts) await model.world.until(own.supervisor.start());
          for (const each of steps) await model.take(each);
          await model.finish();
        } finally {
          model.world[Symbol.dispose]();
        }
      },
    ),
    runs(40, { costly: 100 }),
  );
  // All of them are met.
  expect([...reasons].sort()).toEqual(
    expect.arrayContaining([
      'N processes are alive, and pool.hardCap is N',
      'N requests of this host wait for conversation "one" before it',
      'all N slots are held',
      'an agent of this host runs conversation "one"',
      'conversation "one" is not free: another host runs it',
    ]),
  );
});
