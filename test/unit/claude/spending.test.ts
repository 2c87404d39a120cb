import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runs } from '../../../kit/property.ts';
import { Meter, readTotal } from '../../../src/claude/spending.ts';
import type { Spent } from '../../../src/index.ts';

/** The agent's totals in order: `result` and `reading` are running totals in dollars. */
type Word = { begin: number } | { result: number; of?: string } | { reading: number; of?: string };

const amount = (usd: number): Spent => ({ usd, tokens: Math.round(usd * 1000) });

function told(words: readonly Word[]): Spent[] {
  const meter = new Meter();
  return words.flatMap((word) => {
    if ('begin' in word) {
      meter.begin('a', amount(word.begin));
      return [];
    }
    if ('result' in word) return [meter.result(word.of ?? 'a', amount(word.result))];
    return [meter.reading(word.of ?? 'a', amount(word.reading))];
  });
}

const sumOf = (added: readonly Spent[]): number => added.reduce((sum, { usd }) => sum + usd, 0);

describe('a meter adds', () => {
  it.each<[string, Word[], number[]]>([
    ['what each turn of a query adds', [{ result: 1 }, { result: 3 }, { result: 6 }], [1, 2, 3]],
    ['nothing for what a resumed conversation had cost', [{ begin: 6 }, { result: 8 }], [2]],
    [
      'from nothing in the conversation that /clear opens',
      [{ result: 5 }, { result: 0, of: 'b' }, { result: 2, of: 'b' }, { result: 9, of: 'b' }],
      [5, 0, 2, 7],
    ],
    [
      'from nothing if /clear comes first in a resumed one',
      [{ begin: 5 }, { result: 0, of: 'b' }, { result: 9, of: 'b' }],
      [0, 9],
    ],
    [
      'nothing for the zero of a crash, and goes on',
      [{ result: 5 }, { result: 0 }, { result: 7 }],
      [5, 0, 2],
    ],
    [
      'from nothing if a conversation begins anew',
      [{ result: 5 }, { result: 2 }, { result: 4 }],
      [5, 2, 2],
    ],
    ['the same result once', [{ result: 5 }, { result: 5 }, { result: 5 }], [5, 0, 0]],
    [
      'what a turn has cost so far, and then the rest',
      [{ result: 1 }, { reading: 3 }, { reading: 3 }, { result: 4 }],
      [1, 2, 0, 1],
    ],
    [
      'nothing for a reading that is late',
      [{ result: 4 }, { reading: 3 }, { result: 6 }],
      [4, 0, 2],
    ],
    ['nothing twice if a result is less than a reading', [{ reading: 4 }, { result: 3 }], [4, 0]],
  ])('%s', (_, words, added) => {
    expect(told(words).map(({ usd }) => usd)).toEqual(added);
    expect(told(words).map(({ tokens }) => tokens)).toEqual(added.map((usd) => usd * 1000));
  });
});

const total = fc.integer({ min: 0, max: 1000 });
const conversation = fc.constantFrom('a', 'b');
const word: fc.Arbitrary<Word> = fc.oneof(
  fc.record({ result: total, of: conversation }),
  fc.record({ reading: total, of: conversation }),
);

describe('for any sequence of totals, a meter', () => {
  it('never lowers the sum', () => {
    fc.assert(
      fc.property(fc.array(word), (words) => {
        for (const { usd, tokens } of told(words)) {
          expect(usd).toBeGreaterThanOrEqual(0);
          expect(tokens).toBeGreaterThanOrEqual(0);
        }
      }),
      runs(100),
    );
  });

  it('adds nothing for a total that is repeated at once', () => {
    fc.assert(
      fc.property(fc.array(word), (words) => {
        const twice = words.flatMap((one) => [one, one]);
        expect(sumOf(told(twice))).toBe(sumOf(told(words)));
      }),
      runs(100),
    );
  });

  it('adds up to the last total of a growing query, with readings at any point', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(total, fc.boolean())), total, (steps, first) => {
        let sum = first;
        const words = steps.map(([more, isResult]): Word => {
          sum += more;
          return isResult ? { result: sum } : { reading: sum };
        });
        expect(sumOf(told([{ begin: first }, ...words]))).toBe(sum - first);
      }),
      runs(100),
    );
  });

  it('adds up to the sum of all conversations that /clear has opened', () => {
    fc.assert(
      fc.property(fc.array(fc.array(total, { minLength: 1 })), (conversations) => {
        const words = conversations.flatMap((turns, of) => {
          const totalAt = (turn: number): number =>
            turns.slice(0, turn + 1).reduce((sum, more) => sum + more, 0);
          return turns.map((_, turn) => ({ result: totalAt(turn), of: `conversation ${of}` }));
        });
        expect(sumOf(told(words))).toBe(conversations.flat().reduce((sum, turn) => sum + turn, 0));
      }),
      runs(100),
    );
  });
});

describe('readTotal', () => {
  const usage = {
    inputTokens: 1,
    outputTokens: 20,
    cacheReadInputTokens: 300,
    cacheCreationInputTokens: 4000,
  };

  it('adds up all models and kinds of tokens, each of them once', () => {
    const parts = {
      thinkingTokens: 7,
      cacheCreationEphemeral5mInputTokens: 4000,
      costUSD: 9,
      contextWindow: 9,
    };
    const modelUsage = { small: usage, large: { ...usage, ...parts } };
    expect(readTotal({ total_cost_usd: 1.5, modelUsage })).toEqual({ usd: 1.5, tokens: 8642 });
  });

  it.each([
    [{}],
    [{ total_cost_usd: null, modelUsage: null }],
    [
      {
        total_cost_usd: Number.NaN,
        modelUsage: { model: { inputTokens: Number.POSITIVE_INFINITY } },
      },
    ],
    [{ total_cost_usd: -1, modelUsage: { model: { inputTokens: -1 } } }],
    [{ total_cost_usd: '3', modelUsage: { model: null, other: 'x', third: { inputTokens: '4' } } }],
  ])('as nothing where there is no number: %j', (report) => {
    expect(readTotal(report)).toEqual({ usd: 0, tokens: 0 });
  });
});
