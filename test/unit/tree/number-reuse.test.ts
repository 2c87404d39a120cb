import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runs } from '../../../kit/property.ts';
import type { PidSupply } from '../../../src/os/os.ts';
import { mayBeReused } from '../../../src/tree/number-reuse.ts';
import { OwnNumbers } from '../../../src/tree/own-numbers.ts';

const at = (forks: number, last: number, more: Partial<PidSupply> = {}): PidSupply => ({
  ...{ forks, last, max: 32_768, tasks: 200 },
  ...more,
});

describe('a pid', () => {
  it.each([
    ['that is still ahead', 5000, at(0, 1000), at(100, 1100), false],
    ['that has just been passed', 1100, at(0, 1000), at(100, 1100), true],
    ['that was the last assigned before', 1000, at(0, 1000), at(100, 1100), false],
    ['before which the circle ended, on the far side', 32_000, at(0, 32_100), at(900, 532), false],
    ['in the rest of the circle', 32_200, at(0, 32_100), at(900, 532), true],
    ['at the beginning of the next one', 310, at(0, 32_100), at(900, 532), true],
    ['still ahead in the next one', 600, at(0, 32_100), at(900, 532), false],
    ['without any fork', 1000, at(0, 1000), at(0, 1000), false],
    ['with forks only in other namespaces', 1000, at(0, 1000), at(20_000, 1000), false],
    ['with enough forks to have gone round once', 5000, at(0, 1000), at(31_900, 1100), true],
    [
      'with so many tasks that few pids are free',
      5000,
      at(0, 1000, { tasks: 11_000 }),
      at(1, 1001),
      true,
    ],
    ['of a small range', 350, at(0, 340, { max: 420 }), at(1, 341, { max: 420 }), true],
    ['with more pids gone than forks can have taken', 9000, at(0, 1000), at(25, 3000), true],
    ['with a second reading that is older', 5000, at(10, 1000), at(9, 1000), true],
    ['with a changed maximum', 5000, at(0, 1000), at(1, 1001, { max: 4_194_304 }), true],
  ] as const)('%s', (_what, number, from, to, may) => {
    expect(mayBeReused(number, from, to)).toBe(may);
  });
});

/** Assigns pids in a circle as the kernel does, and skips those in use. */
class Kernel {
  readonly max: number;
  /** Each process's own pid and its group; the session is the group. */
  readonly live = new Map<number, { readonly group: number; readonly born: number }>();
  forks = 0;
  last = 1;
  /** The last assignment of each pid, in forks that took one. */
  readonly given = new Map<number, number>();
  clock = 0;

  constructor(max: number) {
    this.max = max;
  }

  get reading(): PidSupply {
    return { forks: this.forks, last: this.last, max: this.max, tasks: this.live.size + 1 };
  }

  fork(group: number | 'own', refused = false): number | undefined {
    const used = new Set([...this.live].flatMap(([pid, process]) => [pid, process.group]));
    let number = this.last;
    for (let tries = 0; tries <= this.max; tries++) {
      number = number + 1 >= this.max ? 300 : number + 1;
      if (!used.has(number)) break;
    }
    if (used.has(number)) return undefined;
    this.last = number;
    this.given.set(number, ++this.clock);
    if (refused) return undefined;
    this.forks++;
    this.live.set(number, { group: group === 'own' ? number : group, born: this.clock });
    return number;
  }
}

type Step = 'fork' | 'join' | 'refused' | 'elsewhere' | { readonly die: number } | { many: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { arbitrary: fc.constantFrom<Step>('fork', 'join', 'elsewhere'), weight: 3 },
  { arbitrary: fc.record({ die: fc.nat(1000) }), weight: 3 },
  { arbitrary: fc.record({ many: fc.integer({ min: 50, max: 900 }) }), weight: 1 },
);

function take(kernel: Kernel, step: Step): void {
  const pids = [...kernel.live.keys()];
  if (step === 'fork') kernel.fork('own');
  else if (step === 'join') kernel.fork(kernel.live.get(pids.at(-1) ?? 0)?.group ?? 'own');
  else if (step === 'refused') kernel.fork('own', true);
  else if (step === 'elsewhere') kernel.forks++;
  else if ('die' in step) kernel.live.delete(pids[step.die % Math.max(1, pids.length)] ?? 0);
  else {
    for (let left = step.many; left > 0; left--) {
      const pid = kernel.fork('own');
      if (pid !== undefined) kernel.live.delete(pid);
    }
  }
}

describe('in any history of a kernel', () => {
  const steps = fc.array(step, { maxLength: 60, size: 'max' });
  const max = fc.constantFrom(800, 1400, 3000);

  it('a pid that was assigned in between never counts as unassigned', () => {
    let proven = 0;
    fc.assert(
      fc.property(max, steps, steps, (max, before, between) => {
        const kernel = new Kernel(max);
        for (const one of before) take(kernel, one);
        const [from, since] = [kernel.reading, kernel.clock];
        for (const one of between) take(kernel, one);
        const to = kernel.reading;
        for (let number = 2; number < max; number += 7) {
          if (mayBeReused(number, from, to)) continue;
          proven++;
          expect(kernel.given.get(number) ?? 0).toBeLessThanOrEqual(since);
        }
      }),
      runs(300, { costly: 20 }),
    );
    // The property is not empty.
    expect(proven).toBeGreaterThan(1000);
  });

  it('an id that is ours in each snapshot has not been reassigned since', () => {
    let proven = 0;
    fc.assert(
      fc.property(max, steps, fc.array(steps, { maxLength: 6 }), (max, before, readings) => {
        const kernel = new Kernel(max);
        for (const one of before) take(kernel, one);
        const launched = kernel.reading;
        const root = kernel.fork('own');
        if (root === undefined) return;
        const born = kernel.clock;
        const numbers = new OwnNumbers(root, launched);
        for (const between of readings) {
          for (const one of between) take(kernel, one);
          numbers.prove(kernel.reading);
          if (!numbers.at(kernel.reading).has(root)) continue;
          proven++;
          expect(kernel.given.get(root)).toBe(born);
        }
      }),
      runs(300, { costly: 20 }),
    );
    expect(proven).toBeGreaterThan(100);
  });

  it('refused forks take pids without being counted, and then nothing is proven', () => {
    const kernel = new Kernel(3000);
    const root = kernel.fork('own') ?? 0;
    const from = kernel.reading;
    kernel.live.delete(root);
    for (let left = 1500; left > 0; left--) take(kernel, 'refused');
    expect(mayBeReused(root, from, kernel.reading)).toBe(true);
  });
});

describe("a tree's ids", () => {
  it('are none where nothing can be read', () => {
    const numbers = new OwnNumbers(500, undefined);
    numbers.prove(undefined, new Set([500]));
    expect(numbers.at(undefined)).toEqual(new Set());
    expect(numbers.at(at(0, 500))).toEqual(new Set());
  });

  it('are lost for good once passed, except one in which a snapshot finds members', () => {
    const numbers = new OwnNumbers(500, at(0, 499));
    numbers.prove(at(10, 510), new Set([500, 505]));
    numbers.prove(at(40_000, 520), new Set([505]));
    expect(numbers.at(at(40_001, 521))).toEqual(new Set([505]));
  });

  it("are forgotten when they are no longer in use, except the root's", () => {
    const numbers = new OwnNumbers(500, at(0, 499));
    numbers.prove(at(10, 510), new Set([500, 505]));
    numbers.prove(at(20, 520), new Set());
    expect(numbers.at(at(20, 520))).toEqual(new Set([500]));
  });

  it('are not changed by a snapshot that is older than the last reading', () => {
    const numbers = new OwnNumbers(500, at(0, 499));
    numbers.prove(at(10, 510), new Set([505]));
    numbers.prove(at(5, 503), new Set());
    expect(numbers.at(at(20, 520))).toEqual(new Set([500, 505]));
  });

  it('are kept at an exit, which is no snapshot', () => {
    const numbers = new OwnNumbers(500, at(0, 499));
    numbers.prove(at(10, 510), new Set([505]));
    numbers.prove(at(12, 512));
    expect(numbers.at(at(20, 520))).toEqual(new Set([500, 505]));
  });
});
