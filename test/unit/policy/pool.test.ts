import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { FakeClock } from '../../../kit/fake-clock.ts';
import { runs } from '../../../kit/property.ts';
import { SupervisorError, type SupervisorErrorCode } from '../../../src/errors.ts';
import { Pool } from '../../../src/policy/pool.ts';
import { PoolEntry, type SlotRequest } from '../../../src/policy/pool-entry.ts';
import type { PoolLimits } from '../../../src/policy/pool-options.ts';
import { Slot } from '../../../src/policy/slot.ts';

const FUZZ = runs(300);

/** A caller, with everything that it was told. */
class Asker {
  readonly outcomes: string[] = [];
  readonly abort = new AbortController();
  readonly request: SlotRequest;
  error: SupervisorError | undefined;
  slot: Slot | undefined;
  waiter: PoolEntry | undefined;
  readonly name: string;

  readonly #onAnswer: () => void;

  constructor(name: string, wish: Partial<SlotRequest>, onAnswer: () => void = () => undefined) {
    this.name = name;
    this.#onAnswer = onAnswer;
    this.request = {
      sessionId: undefined,
      needsSlot: true,
      priority: 0,
      timeoutMs: undefined,
      signal: this.abort.signal,
      ...wish,
    };
  }

  ask(pool: Pool): void {
    const answer = pool.ask(this.request);
    if (!(answer instanceof PoolEntry)) {
      this.#answered(answer);
      return;
    }
    this.waiter = answer;
    answer.onAnswer((later) => this.#answered(later));
  }

  #answered(answer: Slot | SupervisorError): void {
    if (answer instanceof Slot) {
      this.outcomes.push('granted');
      this.slot = answer;
    } else {
      this.outcomes.push(answer.code);
      this.error = answer;
    }
    this.#onAnswer();
  }

  get waits(): boolean {
    return this.outcomes.length === 0;
  }
}

/** A pool, its callers, and the order in which they were granted. */
class Rig {
  readonly clock = new FakeClock();
  readonly pool: Pool;
  readonly granted: string[] = [];
  readonly askers: Asker[] = [];

  readonly events: string[] = [];

  constructor(concurrency: number, limits: Partial<PoolLimits> = {}) {
    this.pool = new Pool({
      clock: this.clock,
      emit: (event, detail) => this.events.push(`${event} ${JSON.stringify(detail)}`),
      options: {
        ...{ concurrency, hardCap: 10, hardCapCounts: 'workers' },
        ...{ hardCapPerKind: {}, startingPerKind: {}, perKey: {}, ...limits },
      },
    });
  }

  ask(name: string, wish: Partial<SlotRequest> = {}, onAnswer?: () => void): Asker {
    const asker = new Asker(name, wish, () => {
      if (asker.slot !== undefined) this.granted.push(name);
      onAnswer?.();
    });
    this.askers.push(asker);
    asker.ask(this.pool);
    return asker;
  }

  /** Releases held slots until nobody waits. */
  async drain(): Promise<void> {
    while (this.pool.held > 0 || this.pool.waiting.size > 0) {
      for (const { slot } of this.askers) slot?.release();
      await this.clock.settle();
    }
  }
}

const stopping = () => new SupervisorError('STOPPING', 'stopping');

describe('Pool', () => {
  it('grants a free slot in the same tick', () => {
    const rig = new Rig(2);
    expect(rig.ask('a').outcomes).toEqual(['granted']);
    expect(rig.ask('b').outcomes).toEqual(['granted']);
    expect(rig.ask('c').outcomes).toEqual([]);
    expect(rig.pool).toMatchObject({ held: 2, concurrency: 2 });
    expect([...rig.pool.waiting]).toHaveLength(1);
  });

  it('grants in order of arrival within a priority, and higher priorities first', async () => {
    const rig = new Rig(1);
    const first = rig.ask('first');
    for (const name of ['a', 'b', 'c']) rig.ask(name);
    for (const name of ['x', 'y']) rig.ask(name, { priority: 5 });
    for (const name of ['low']) rig.ask(name, { priority: -1 });
    rig.ask('d');
    first.slot?.release();
    await rig.drain();
    expect(rig.granted).toEqual(['first', 'x', 'y', 'a', 'b', 'c', 'd', 'low']);
  });

  it('does not let a newcomer pass those who wait for a slot that was just released', async () => {
    const rig = new Rig(1);
    const holder = rig.ask('holder');
    rig.ask('waiter');
    holder.slot?.release();
    const newcomer = rig.ask('newcomer');
    expect(newcomer.outcomes).toEqual([]);
    await rig.clock.settle();
    expect(rig.granted).toEqual(['holder', 'waiter']);
  });

  it('grants nothing while it is not ready, and what it has when it is', async () => {
    const rig = new Rig(1);
    rig.pool.ready = false;
    const [first, second] = [rig.ask('first'), rig.ask('second')];
    await rig.clock.settle();
    expect([first.waits, second.waits, rig.pool.held]).toEqual([true, true, 0]);
    rig.pool.ready = true;
    await rig.clock.settle();
    expect([first.waits, second.waits]).toEqual([false, true]);
    await rig.drain();
  });

  it('lets what needs no slot wait only until it is ready', async () => {
    const rig = new Rig(1);
    rig.ask('holder');
    expect(rig.ask('free', { needsSlot: false }).outcomes).toEqual(['granted']);
    rig.pool.ready = false;
    const [slot, free] = [rig.ask('slot'), rig.ask('late', { needsSlot: false })];
    await rig.clock.settle();
    expect([slot.waits, free.waits]).toEqual([true, true]);
    rig.pool.ready = true;
    await rig.clock.settle();
    expect([slot.waits, free.waits, rig.pool.held]).toEqual([true, false, 1]);
    await rig.drain();
  });

  it('lists waiting requests in the order in which they get a slot', async () => {
    const rig = new Rig(1);
    rig.ask('holder');
    rig.ask('a');
    rig.ask('b', { priority: 2 });
    rig.ask('c');
    rig.ask('d', { priority: -1 });
    const order = rig.pool.queue.map(({ request }) =>
      rig.askers.find((of) => of.request === request),
    );
    await rig.drain();
    expect(order.map((asker) => asker?.name)).toEqual(['b', 'a', 'c', 'd']);
    expect(rig.granted.slice(1)).toEqual(['b', 'a', 'c', 'd']);
  });

  it('tells the first waiting request once that it is at the head, and each that becomes so', async () => {
    const rig = new Rig(1);
    const told: string[] = [];
    const curious = (name: string, priority = 0) =>
      rig.ask(name, { priority, atHead: () => void told.push(name) });
    const holder = rig.ask('holder');
    const first = curious('first');
    curious('second');
    rig.ask('other');
    expect(told).toEqual(['first']);
    curious('urgent', 1);
    expect(told).toEqual(['first', 'urgent']);
    holder.slot?.release();
    await rig.clock.settle();
    expect(rig.granted).toEqual(['holder', 'urgent']);
    expect(told).toEqual(['first', 'urgent']);
    first.abort.abort();
    await rig.clock.settle();
    expect(told).toEqual(['first', 'urgent', 'second']);
    await rig.drain();
    expect(told).toHaveLength(3);
  });

  it('has a released slot free in the same tick if nobody waits for it', () => {
    const rig = new Rig(1);
    rig.ask('a').slot?.release();
    expect(rig.ask('b').outcomes).toEqual(['granted']);
  });

  it('grants many requests that release at once, without going deeper each time', async () => {
    const rig = new Rig(1);
    const holder = rig.ask('holder');
    const crowd = Array.from({ length: 20_000 }, (_, index) => {
      const asker: Asker = rig.ask(`${index}`, {}, () => asker.slot?.release());
      return asker;
    });
    holder.slot?.release();
    await rig.clock.settle();
    expect(crowd.every(({ outcomes }) => outcomes[0] === 'granted')).toBe(true);
    expect(rig.pool.held).toBe(0);
  });

  it('takes a slot back once, however often it is released', async () => {
    const rig = new Rig(1);
    const first = rig.ask('first');
    const [second, third] = [rig.ask('second'), rig.ask('third')];
    first.slot?.release();
    first.slot?.release();
    await rig.clock.settle();
    first.slot?.release();
    await rig.clock.settle();
    expect(rig.pool.held).toBe(1);
    expect([second.outcomes, third.outcomes]).toEqual([['granted'], []]);
  });

  describe('stops waiting', () => {
    const WAYS: {
      what: string;
      code: SupervisorErrorCode;
      wish?: Partial<SlotRequest>;
      giveUp: (rig: Rig, asker: Asker) => unknown;
    }[] = [
      {
        what: 'at its time-out',
        code: 'POOL_TIMEOUT',
        wish: { timeoutMs: 1000 },
        giveUp: ({ clock }) => clock.advance(1000),
      },
      {
        what: 'when it is aborted',
        code: 'ABORTED',
        giveUp: (_, { abort }) => abort.abort(new Error('never mind')),
      },
      {
        what: 'when the supervisor stops',
        code: 'STOPPING',
        giveUp: ({ pool }) => pool.refuse(() => true, stopping),
      },
      {
        what: 'when it is refused by name',
        code: 'HARD_CAP',
        giveUp: (_, { waiter }) => waiter?.refuse(new SupervisorError('HARD_CAP', 'no')),
      },
    ];

    it.each(WAYS)('$what: $code, and nothing else changes', async ({ code, wish, giveUp }) => {
      const rig = new Rig(1);
      const holder = rig.ask('holder');
      const asker = rig.ask('asker', wish);
      const next = rig.ask('next', { signal: undefined });
      if (code === 'STOPPING') {
        rig.pool.refuse((request) => request === asker.request, stopping);
      } else {
        await giveUp(rig, asker);
      }
      expect(asker.outcomes).toEqual([code]);
      expect(asker.error?.message).toMatch(/\w/);
      expect([...rig.pool.waiting].map(({ request }) => request)).toEqual([next.request]);
      expect(rig.pool.held).toBe(1);
      expect(rig.clock.timers).toEqual([]);

      holder.slot?.release();
      await rig.clock.settle();
      expect(rig.granted).toEqual(['holder', 'next']);
      expect(asker.outcomes).toEqual([code]);
    });

    it.each(WAYS)('$what, and not once it has its slot', async ({ wish, giveUp }) => {
      const rig = new Rig(1);
      const asker = rig.ask('asker', wish);
      await giveUp(rig, asker);
      await rig.clock.advance(10_000);
      expect(asker.outcomes).toEqual(['granted']);
      expect(rig.pool.held).toBe(1);
    });

    it('names the way out of a timeout', async () => {
      const rig = new Rig(1);
      rig.ask('holder');
      const asker = rig.ask('asker', { timeoutMs: 250 });
      await rig.clock.advance(250);
      expect(asker.error).toMatchObject({ code: 'POOL_TIMEOUT', data: { timeoutMs: 250 } });
      expect(asker.error?.message).toMatch(/250 ms.*pool\.concurrency.*pool\.waitTimeoutMs/);
    });

    it('carries the reason of an abort as its cause', () => {
      const rig = new Rig(1);
      rig.ask('holder');
      const asker = rig.ask('asker');
      const reason = new Error('the user left');
      asker.abort.abort(reason);
      expect(asker.error?.cause).toBe(reason);
    });

    it('is refused at once when it was aborted before, and takes no slot', async () => {
      const rig = new Rig(1);
      const early = rig.ask('early', { signal: AbortSignal.abort() });
      expect(early.outcomes).toEqual(['ABORTED']);
      expect(rig.ask('next').outcomes).toEqual(['granted']);
      expect(rig.pool.waiting.size).toBe(0);
    });

    it('listens to a signal only while it waits', async () => {
      const rig = new Rig(1);
      const shared = new AbortController();
      const counts = { added: 0, removed: 0 };
      const { signal } = shared;
      const add = signal.addEventListener.bind(signal);
      const remove = signal.removeEventListener.bind(signal);
      signal.addEventListener = (...args: Parameters<typeof add>) => {
        counts.added++;
        add(...args);
      };
      signal.removeEventListener = (...args: Parameters<typeof remove>) => {
        counts.removed++;
        remove(...args);
      };
      for (const name of ['a', 'b', 'c']) rig.ask(name, { signal, timeoutMs: 100 });
      await rig.clock.advance(100);
      // The first one did not wait.
      expect(counts).toEqual({ added: 2, removed: 2 });
    });
  });

  it('keeps a host alive while a request with a timeout waits, and not afterwards', async () => {
    const rig = new Rig(1);
    const holder = rig.ask('holder', { timeoutMs: 500 });
    rig.ask('waiter', { timeoutMs: 500 });
    expect(rig.clock.timers).toEqual([{ inMs: 500, keepAlive: true }]);
    holder.slot?.release();
    await rig.clock.settle();
    expect(rig.clock.timers).toEqual([]);
  });

  it('refuses only those that match', () => {
    const rig = new Rig(1);
    rig.ask('holder', { sessionId: 'a' });
    const [a, b] = [rig.ask('a', { sessionId: 'a' }), rig.ask('b', { sessionId: 'b' })];
    rig.pool.refuse(({ sessionId }) => sessionId === 'a', stopping);
    expect([a.outcomes, b.outcomes]).toEqual([['STOPPING'], []]);
    expect(rig.pool.held).toBe(1);
  });

  it('lets a refused request ask anew in its callback, without being refused again', () => {
    const rig = new Rig(1);
    rig.ask('holder');
    let again: Asker | undefined;
    rig.ask('asker', {}, () => {
      again = rig.ask('again');
    });
    rig.pool.refuse(() => true, stopping);
    expect(again?.outcomes).toEqual([]);
  });

  it('gives exactly one outcome to a request that is granted, aborted, timed out and drained in the same tick', () => {
    const happenings = ['release', 'abort', 'timeout', 'drain'] as const;
    const orders = fc.shuffledSubarray([...happenings], { minLength: 1 });
    return fc.assert(
      fc.asyncProperty(orders, async (order) => {
        const rig = new Rig(1);
        const holder = rig.ask('holder');
        const asker = rig.ask('asker', { timeoutMs: 100 });
        for (const happening of order) {
          if (happening === 'release') holder.slot?.release();
          if (happening === 'abort') asker.abort.abort();
          if (happening === 'timeout') rig.clock.advanceInOneTick(100);
          if (happening === 'drain') rig.pool.refuse(() => true, stopping);
        }
        await rig.clock.settle();
        // Granted only if nothing else happens: a release takes effect after the tick.
        const gaveUp = order.find((happening) => happening !== 'release');
        const code = { abort: 'ABORTED', timeout: 'POOL_TIMEOUT', drain: 'STOPPING' };
        const expected =
          gaveUp !== undefined ? [code[gaveUp]] : order.includes('release') ? ['granted'] : [];
        expect(asker.outcomes).toEqual(expected);
        // Whatever the outcome, the slot is not lost.
        holder.slot?.release();
        asker.slot?.release();
        await rig.clock.settle();
        expect(rig.pool.held).toBe(0);
        expect(rig.ask('after').outcomes).toEqual(['granted']);
      }),
      FUZZ,
    );
  });

  it('keeps its promises under any sequence of calls', () => fc.assert(promises(), FUZZ));

  it.each([
    ['forgets the place of a request that waits for another bound', 1, 1000],
    ['lets the newest go first', 0, -1000],
  ])('negative control: that is noticed of a pool that %s', async (_, earlierWaits, places) => {
    const { waitAt } = PoolEntry.prototype;
    const waits = new Map<PoolEntry, number>();
    using _spy = vi.spyOn(PoolEntry.prototype, 'waitAt').mockImplementation(function (
      this: PoolEntry,
      semaphore,
    ) {
      const count = waits.get(this) ?? 0;
      waits.set(this, count + 1);
      if (count > 0) this.semaphore.line.remove(this);
      if (count === earlierWaits)
        Object.assign(this, { number: places < 0 ? places - this.number : places + this.number });
      waitAt.call(this, semaphore);
    });
    const found = await fc.check(promises(), { ...runs(3000), endOnFailure: true });
    expect(found).toMatchObject({
      failed: true,
      errorInstance: { actual: expect.arrayContaining([expect.stringMatching(/may go before/)]) },
    });
  });
});

const LIMITS = { perKey: { a: 1, '*': 2 }, startingPerKind: { slow: 1 } };
const KEY_LIMITS: Readonly<Record<string, number>> = { a: 1, b: 2, c: 2 };

/** What is held by the book of the test, which knows nothing of semaphores. */
class Book {
  readonly #holders = new Map<Asker, { starting: boolean }>();
  concurrency: number;
  isPaused = false;

  constructor(concurrency: number) {
    this.concurrency = concurrency;
  }

  get slots(): number {
    return [...this.#holders.keys()].filter(({ request }) => request.needsSlot).length;
  }

  hold(asker: Asker): void {
    this.#holders.set(asker, { starting: asker.request.kind === 'slow' });
  }

  started(asker: Asker): void {
    const held = this.#holders.get(asker);
    if (held) held.starting = false;
    asker.slot?.started();
  }

  release(asker: Asker): void {
    this.#holders.delete(asker);
    asker.slot?.release();
  }

  get holders(): Asker[] {
    return [...this.#holders.keys()];
  }

  mayGo({ request }: Asker): boolean {
    if (request.needsSlot && (this.isPaused || this.slots >= this.concurrency)) return false;
    const isStarting = [...this.#holders.values()].some(({ starting }) => starting);
    if (request.kind === 'slow' && isStarting) return false;
    return (request.keys ?? []).every((key) => {
      const count = this.holders.filter((one) => one.request.keys?.includes(key)).length;
      return count < (KEY_LIMITS[key] as number);
    });
  }
}

const who = fc.nat(40);
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('ask' as const),
      priority: fc.integer({ min: -1, max: 1 }),
      timeoutMs: fc.option(fc.integer({ min: 0, max: 50 }), { nil: undefined }),
      sessionId: fc.constantFrom('s', 't'),
      aborted: fc.constantFrom(true, false, false, false),
      releaseAtOnce: fc.boolean(),
      needsSlot: fc.constantFrom(true, true, false),
      keys: fc.oneof(fc.constant([]), fc.subarray(Object.keys(KEY_LIMITS))),
      kind: fc.constantFrom('agent', 'agent', 'slow'),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('release' as const), who }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('started' as const), who }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('abort' as const), who }) },
  fc.record({ do: fc.constant('refuse' as const), who: fc.constantFrom('s', 't') }),
  fc.record({ do: fc.constant('pass' as const), ms: fc.nat(30) }),
  fc.record({ do: fc.constant('pause' as const) }),
  { weight: 2, arbitrary: fc.record({ do: fc.constant('resume' as const) }) },
  fc.record({ do: fc.constant('resize' as const), to: fc.integer({ min: 1, max: 4 }) }),
  // Between two of these, everything happens in one tick.
  { weight: 3, arbitrary: fc.record({ do: fc.constant('settle' as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer One> ? One : never;

/** A run of a pool beside its book. */
class Run {
  readonly rig: Rig;
  readonly book: Book;
  readonly #problems: string[] = [];

  constructor(concurrency: number) {
    this.rig = new Rig(concurrency, LIMITS);
    this.book = new Book(concurrency);
  }

  async take(one: Step): Promise<void> {
    const { rig, book } = this;
    const { pool, clock } = rig;
    const at = <T>(list: readonly T[], index: number): T | undefined => list[index % list.length];
    if (one.do === 'ask') this.#ask(one);
    else if (one.do === 'release') this.#end(at(book.holders, one.who), 'release');
    else if (one.do === 'started') this.#end(at(book.holders, one.who), 'started');
    else if (one.do === 'abort') at(rig.askers, one.who)?.abort.abort();
    else if (one.do === 'refuse') pool.refuse(({ sessionId }) => sessionId === one.who, stopping);
    else if (one.do === 'pass') clock.advanceInOneTick(one.ms);
    else if (one.do === 'pause') {
      book.isPaused = true;
      pool.pause('x', undefined);
    } else if (one.do === 'resume') {
      book.isPaused = false;
      pool.resume();
    } else if (one.do === 'resize') {
      book.concurrency = one.to;
      pool.resize({ ...pool.size, concurrency: one.to });
    } else {
      await clock.settle();
      this.#assertBusy();
    }
    expect(this.#problems).toEqual([]);
    expect(pool.held).toBe(book.slots);
    expect(pool.waiting.size).toBe(this.#waiting.length);
  }

  /** Releases until nobody waits: each had one outcome, and nothing is left behind. */
  async finish(): Promise<void> {
    const { rig, book } = this;
    book.isPaused = false;
    rig.pool.resume();
    do {
      for (const holder of book.holders) book.release(holder);
      await rig.clock.settle();
      this.#assertBusy();
    } while (book.holders.length > 0);
    expect(this.#problems).toEqual([]);
    for (const { outcomes } of rig.askers) expect(outcomes).toHaveLength(1);
    expect(rig.pool).toMatchObject({ held: 0 });
    expect([...rig.pool.keys]).toEqual([]);
    expect(rig.clock.timers).toEqual([]);
  }

  get #waiting(): Asker[] {
    return this.rig.askers.filter(({ waits }) => waits);
  }

  #end(asker: Asker | undefined, how: 'release' | 'started'): void {
    if (asker !== undefined) this.book[how](asker);
  }

  #ask({ aborted, releaseAtOnce, do: _, ...wish }: Extract<Step, { do: 'ask' }>): void {
    const name = `${this.rig.askers.length}`;
    const signal = aborted ? { signal: AbortSignal.abort() } : {};
    const asker: Asker = new Asker(name, { ...wish, ...signal }, () => {
      if (asker.slot === undefined) return;
      this.#assertFirst(asker);
      this.book.hold(asker);
      if (releaseAtOnce) this.book.release(asker);
    });
    this.rig.askers.push(asker);
    asker.ask(this.rig.pool);
  }

  #assertFirst(granted: Asker): void {
    const { askers } = this.rig;
    if (!this.book.mayGo(granted)) this.#problems.push(`${granted.name} may not go`);
    const { priority } = granted.request;
    const isBefore = (one: Asker) =>
      one.request.priority > priority ||
      (one.request.priority === priority && askers.indexOf(one) < askers.indexOf(granted));
    const better = this.#waiting.filter((one) => isBefore(one) && this.book.mayGo(one));
    if (better.length > 0)
      this.#problems.push(`${better.map(({ name }) => name)} may go before ${granted.name}`);
  }

  /** Nobody waits who may go. */
  #assertBusy(): void {
    const idle = this.#waiting.filter((one) => this.book.mayGo(one));
    if (idle.length > 0) throw new Error(`${idle.map(({ name }) => name)} may go`);
  }
}

/** No slot or key lost, none doubled; first come, first served among those that may go; one outcome for each. */
const promises = () =>
  fc.asyncProperty(
    fc.integer({ min: 1, max: 3 }),
    fc.array(step, { maxLength: 40, size: 'max' }),
    async (concurrency, steps) => {
      const run = new Run(concurrency);
      for (const one of steps) await run.take(one);
      await run.finish();
    },
  );
