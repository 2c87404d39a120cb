// Who is next on a machine: the rule by itself, and pools of several hosts that follow it.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../../kit/fake-clock.ts';
import { runs } from '../../../kit/property.ts';
import {
  countAhead,
  type HostShare,
  heldOf,
  limitOf,
  type MachineSlots,
  mayTake,
  TURN_MS,
} from '../../../src/policy/machine-slots.ts';
import { Pool } from '../../../src/policy/pool.ts';
import { PoolEntry, type SlotRequest } from '../../../src/policy/pool-entry.ts';
import { Slot } from '../../../src/policy/slot.ts';
import { FakeMachine } from '../../../src/testing/fake-machine.ts';
import type { Owner } from '../../../src/tree/identity.ts';

const NOW_MS = 100_000;

const share = (instance: string, more: Partial<HostShare> = {}): HostShare => ({
  ...{ instance, limit: 3, held: 0, waitingSinceMs: [], seenMs: NOW_MS },
  ...more,
});

describe('the rule', () => {
  it('gives the free slots to those that have waited longest', () => {
    const shares = [
      share('a', { held: 2, waitingSinceMs: [30] }),
      share('b', { waitingSinceMs: [10] }),
      share('c', { waitingSinceMs: [20] }),
    ];
    const may = (instance: string, sinceMs: number) =>
      mayTake({ instance, sinceMs }, shares, NOW_MS);
    expect([may('a', 30), may('b', 10), may('c', 20)]).toEqual([false, true, false]);
  });

  it('counts the smallest number that a host names', () => {
    const shares = [share('a', { limit: 5, held: 2 }), share('b', { limit: 2 })];
    expect(limitOf(shares)).toBe(2);
    expect(mayTake({ instance: 'a', sinceMs: 0 }, shares, NOW_MS)).toBe(false);
  });

  it.each([
    ['just asked', NOW_MS - TURN_MS, 1],
    ['asked too long ago', NOW_MS - TURN_MS - 1, 0],
    ['claims to ask in the future', NOW_MS + TURN_MS + 1, 0],
  ])('a host that %s has its turn, or not', (_when, seenMs, ahead) => {
    const shares = [share('a'), share('b', { waitingSinceMs: [1], seenMs })];
    expect(countAhead({ instance: 'a', sinceMs: 2 }, shares, NOW_MS)).toBe(ahead);
  });

  it('lets all free slots be taken, by the longest waits, however many hosts there are', () => {
    const host = fc.record({
      limit: fc.integer({ min: 1, max: 6 }),
      held: fc.integer({ min: 0, max: 3 }),
      waitingSinceMs: fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 4 }),
      isSilent: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(host, { minLength: 1, maxLength: 5 }), (hosts) => {
        const shares = hosts.map(({ isSilent, waitingSinceMs, ...rest }, index) =>
          share(`${index}`, {
            ...rest,
            waitingSinceMs: waitingSinceMs.sort((a, b) => a - b),
            seenMs: isSilent ? NOW_MS - TURN_MS - 1 : NOW_MS,
          }),
        );
        const asking = shares.filter(({ seenMs }) => seenMs === NOW_MS);
        const free = Math.max(0, limitOf(shares) - heldOf(shares));
        const waits = asking
          .flatMap(({ instance, waitingSinceMs }) =>
            waitingSinceMs.map((sinceMs) => ({ instance, sinceMs })),
          )
          .sort((a, b) => a.sinceMs - b.sinceMs || (a.instance < b.instance ? -1 : 1));
        // Whoever asks first, as long as slots are free: it is somebody whom the order names.
        for (let left = free; left > 0 && waits.length > 0; left--) {
          const able = waits.filter((place) => mayTake(place, shares, NOW_MS));
          expect(able.length).toBeGreaterThan(0);
          const first = waits.slice(0, left);
          for (const { instance } of able)
            expect(first.some((place) => place.instance === instance)).toBe(true);
          const taker = able.at(-1);
          const mine = shares.find(({ instance }) => instance === taker?.instance) as HostShare;
          const at = shares.indexOf(mine);
          const [, ...rest] = mine.waitingSinceMs;
          shares[at] = { ...mine, held: mine.held + 1, waitingSinceMs: rest };
          waits.splice(
            waits.findIndex(({ instance }) => instance === mine.instance),
            1,
          );
        }
        const over = { instance: '0', sinceMs: 10 };
        if (heldOf(shares) >= limitOf(shares)) expect(mayTake(over, shares, NOW_MS)).toBe(false);
      }),
      runs(500),
    );
  });
});

const MORE = ['leave', 'settle', 'resize', 'ask for room', 'make room', 'pause', 'resume'] as const;

const wishOf = (wish: Partial<SlotRequest>): SlotRequest => ({
  ...{ sessionId: undefined, needsSlot: true, priority: 0, timeoutMs: undefined },
  ...{ signal: undefined, ...wish },
});

const SIZE = { hardCap: 10, hardCapCounts: 'workers' } as const;

/** Two hosts with a pool each, on one machine. */
class Hosts {
  readonly machine = new FakeMachine();
  readonly clock = new FakeClock();
  readonly granted: string[] = [];
  readonly slots = new Map<string, Slot>();
  readonly entries = new Map<string, PoolEntry>();
  readonly pools: readonly Pool[];

  constructor(limits: readonly number[], concurrency: number) {
    this.pools = limits.map((limit, index) => {
      const owner = () => ({ instance: `host-${index}` }) as Owner;
      const slots: MachineSlots = this.machine.join({ limit: () => limit, owner });
      return new Pool({
        ...{ clock: this.clock, emit: () => undefined, machine: () => slots },
        options: {
          ...{ ...SIZE, concurrency },
          ...{ hardCapPerKind: {}, startingPerKind: {}, perKey: { k: 1 } },
          maxWaiting: undefined,
        },
      });
    });
  }

  ask(host: number, name: string, wish: Partial<SlotRequest> = {}): void {
    const answer = this.pools[host]?.ask(wishOf(wish));
    if (answer instanceof Slot) this.#grant(name, answer);
    if (!(answer instanceof PoolEntry)) return;
    this.entries.set(name, answer);
    answer.onAnswer((later) => later instanceof Slot && this.#grant(name, later));
  }

  #grant(name: string, slot: Slot): void {
    this.entries.delete(name);
    this.granted.push(name);
    this.slots.set(name, slot);
  }

  release(name: string): void {
    this.slots.get(name)?.release();
    this.slots.delete(name);
  }

  leave(name: string): void {
    this.entries.get(name)?.leave();
    this.entries.delete(name);
  }

  /** Number of requests that may wait for nothing but a slot of the machine. */
  get mayWait(): number {
    const free = this.pools.map((pool) => (pool.paused ? 0 : pool.concurrency - pool.held));
    return free.reduce((sum, count) => sum + Math.max(0, count), 0);
  }

  get heldByPools(): number {
    return this.pools.reduce((sum, pool) => sum + pool.held, 0);
  }
}

describe('pools that share the slots of a machine', () => {
  it('grant first come, first served over all hosts', async () => {
    const hosts = new Hosts([1, 1], 2);
    for (const [host, name] of [
      [0, 'a'],
      [1, 'b'],
      [0, 'c'],
      [1, 'd'],
    ] as const)
      hosts.ask(host, name);
    for (const name of ['a', 'b', 'c', 'd']) {
      await hosts.clock.settle();
      expect(hosts.granted.at(-1)).toBe(name);
      expect(hosts.machine.held).toBe(1);
      hosts.release(name);
    }
    expect(hosts.machine.held).toBe(0);
  });

  it('hold no slot of the machine while they wait for their own, and none of their own meanwhile', async () => {
    const hosts = new Hosts([2, 2], 1);
    hosts.ask(0, 'a');
    hosts.ask(0, 'b');
    await hosts.clock.settle();
    expect([hosts.machine.held, hosts.machine.waiting]).toEqual([1, 0]);
    hosts.ask(1, 'c');
    hosts.release('a');
    hosts.ask(1, 'd');
    await hosts.clock.settle();
    expect(hosts.granted).toEqual(['a', 'c', 'b']);
    const full = new Hosts([1, 1], 2);
    full.ask(0, 'a');
    full.ask(1, 'b');
    await full.clock.settle();
    expect([full.machine.waiting, full.pools[1]?.held]).toEqual([1, 0]);
  });

  it.each([
    ['a key', (pool: Pool) => pool.ask(wishOf({ needsSlot: false, keys: ['k'] })) as Slot],
    ['the end of a pause', (pool: Pool) => void pool.pause('a test', undefined)],
  ] satisfies [string, (pool: Pool) => Slot | undefined][])(
    'tell the machine nothing of what waits for %s, too',
    async (_what, holdUp) => {
      const hosts = new Hosts([1, 1], 2);
      hosts.ask(0, 'a');
      hosts.ask(1, 'b', { keys: ['k'] });
      expect(hosts.machine.waiting).toBe(1);
      const pool = hosts.pools[1] as Pool;
      hosts.leave('b');
      const held = holdUp(pool);
      hosts.ask(1, 'b', { keys: ['k'] });
      await hosts.clock.settle();
      expect(hosts.machine.waiting).toBe(0);
      hosts.release('a');
      await hosts.clock.settle();
      expect([hosts.granted, hosts.machine.held]).toEqual([['a'], 0]);
      held?.release();
      pool.resume();
      await hosts.clock.settle();
      expect(hosts.granted).toEqual(['a', 'b']);
    },
  );

  it('let what waits for the machine wait for a pause or a key that comes later', async () => {
    const hosts = new Hosts([1, 1], 3);
    const pool = hosts.pools[1] as Pool;
    hosts.ask(0, 'a');
    for (const name of ['b', 'c']) hosts.ask(1, name, { keys: ['k'] });
    await hosts.clock.settle();
    expect(hosts.machine.waiting).toBe(2);
    pool.pause('a test', undefined);
    expect(hosts.machine.waiting).toBe(0);
    pool.resume();
    await hosts.clock.settle();
    expect(hosts.machine.waiting).toBe(2);
    hosts.release('a');
    await hosts.clock.settle();
    expect([hosts.granted, hosts.machine.waiting]).toEqual([['a', 'b'], 0]);
    expect(pool.queue.map(({ waitsFor }) => waitsFor.cause)).toEqual(['key']);
    hosts.release('b');
    await hosts.clock.settle();
    expect(hosts.granted).toEqual(['a', 'b', 'c']);
  });

  it('take no slot of the machine for a condition that does not hold', async () => {
    const hosts = new Hosts([1], 2);
    let [isFree, lack]: [boolean, string | undefined] = [false, undefined];
    const condition = {
      take: () => isFree,
      get lack() {
        return lack;
      },
    };
    hosts.ask(0, 'a', { condition });
    hosts.ask(0, 'b');
    await hosts.clock.settle();
    expect([hosts.granted, hosts.machine.held]).toEqual([['b'], 1]);
    lack = 'it is not there';
    hosts.release('b');
    await hosts.clock.settle();
    const [pool] = hosts.pools;
    expect(pool?.queue.map(({ reason }) => reason)).toEqual([lack]);
    expect([hosts.machine.held, hosts.machine.waiting]).toEqual([0, 0]);
    [isFree, lack] = [true, undefined];
    pool?.review();
    await hosts.clock.settle();
    expect([hosts.granted, hosts.machine.held]).toEqual([['b', 'a'], 1]);
  });

  it('lose none, double none and leave nobody waiting for nothing', async () => {
    const command = fc.record({
      what: fc.constantFrom(
        ...['ask', 'ask', 'ask', 'ask', 'release', 'release', 'release'],
        ...MORE,
      ),
      host: fc.integer({ min: 0, max: 1 }),
      pick: fc.nat(),
      priority: fc.integer({ min: 0, max: 1 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(command, { maxLength: 40 }),
        fc.integer({ min: 1, max: 4 }),
        async (commands, limit) => {
          const hosts = new Hosts([limit, limit + 1], 2);
          let room = 1;
          const condition = {
            take: () => room > 0 && room-- > 0,
            get lack() {
              return room < 0 ? 'no room' : undefined;
            },
          };
          const pickOf = (names: Iterable<string>, pick: number) => {
            const all = [...names];
            return all[pick % Math.max(1, all.length)] ?? '';
          };
          for (const [index, { what, host, pick, priority }] of commands.entries()) {
            const pool = hosts.pools[host] as Pool;
            const wish = { priority, ...(pick % 3 === 0 && { keys: ['k'] }) };
            if (what === 'ask') hosts.ask(host, `${index}`, { ...wish, needsSlot: pick % 5 > 0 });
            else if (what === 'ask for room') hosts.ask(host, `${index}`, { ...wish, condition });
            else if (what === 'pause') pool.pause('a test', undefined);
            else if (what === 'resume') pool.resume();
            else if (what === 'make room') {
              room += 1;
              for (const one of hosts.pools) one.review();
            } else if (what === 'release') hosts.release(pickOf(hosts.slots.keys(), pick));
            else if (what === 'leave') hosts.leave(pickOf(hosts.entries.keys(), pick));
            else if (what === 'resize') pool.resize({ ...SIZE, concurrency: 1 + (pick % 3) });
            else await hosts.clock.settle();
            expect(hosts.machine.held).toBeLessThanOrEqual(limit);
            expect(hosts.machine.held).toBe(hosts.heldByPools);
          }
          await hosts.clock.settle();
          expect(hosts.machine.waiting).toBeLessThanOrEqual(hosts.mayWait);
          room = Number.POSITIVE_INFINITY;
          for (const pool of hosts.pools) {
            pool.resume();
            pool.review();
          }
          await hosts.clock.settle();
          const isFree = hosts.machine.held < limit;
          for (const pool of hosts.pools) {
            const [key] = pool.keys;
            const waiting = [...pool.waiting].filter(({ request }) => !key?.held || !request.keys);
            if (isFree && pool.held < pool.concurrency) expect(waiting).toEqual([]);
          }
          while (hosts.slots.size > 0) {
            for (const name of [...hosts.slots.keys()]) hosts.release(name);
            await hosts.clock.settle();
          }
          expect([hosts.machine.held, hosts.machine.waiting, hosts.entries.size]).toEqual([
            0, 0, 0,
          ]);
        },
      ),
      runs(200, { costly: 20 }),
    );
  });
});
