import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runs } from '../../../kit/property.ts';
import {
  type LadderOptions,
  type LadderSituation,
  ladderOptions,
  planLadder,
} from '../../../src/tree/ladder.ts';

const FUZZ = runs(1000);
const DEFAULTS: LadderOptions = { stdinEofMs: 2000, termMs: 5000, killMs: 1000 };

/** A plan in one line: `stdin-eof→2000 SIGTERM→7000 SIGKILL→8000`. */
const show = (options: LadderOptions, situation: LadderSituation) =>
  planLadder(options, situation)
    .map(({ send, untilMs }) => `${send}→${untilMs}`)
    .join(' ');

describe('planLadder', () => {
  it('has the documented times by default', () => {
    expect(ladderOptions.parse(undefined)).toEqual({
      stdinEofMs: 2000,
      termMs: 5000,
      killMs: 1000,
    });
  });

  const all: LadderSituation = { stdin: true, politeSignals: true };
  it.each([
    ['all steps', {}, 'stdin-eof→2000 leader→7000 SIGTERM→12000 SIGKILL→13000'],
    ['a dead leader', { stdin: false }, 'SIGTERM→5000 SIGKILL→6000'],
    ['force', { force: true }, 'SIGKILL→1000'],
    ['a deadline', { deadlineMs: 8000 }, 'stdin-eof→0 leader→2000 SIGTERM→7000 SIGKILL→8000'],
    ['a short one', { deadlineMs: 3000 }, 'stdin-eof→0 leader→0 SIGTERM→2000 SIGKILL→3000'],
    ['no polite signals', { politeSignals: false }, 'stdin-eof→2000 SIGKILL→3000'],
  ] as [string, Partial<LadderSituation>, string][])(
    'signals the leader first: %s',
    (_, change, plan) => {
      const options = { ...DEFAULTS, signalFirst: 'leader' } as const;
      const steps = planLadder(options, { stdin: true, politeSignals: true, ...change });
      const shown = steps.map(({ send, leaderOnly, untilMs }) => [
        leaderOnly ? 'leader' : send,
        untilMs,
      ]);
      expect(shown.map((step) => step.join('→')).join(' ')).toBe(plan);
    },
  );

  const windows: LadderSituation = { stdin: true, politeSignals: false };
  const CASES: [what: string, situation: LadderSituation, plan: string][] = [
    ['all steps', all, 'stdin-eof→2000 SIGTERM→7000 SIGKILL→8000'],
    ['no stdin to end', { ...all, stdin: false }, 'SIGTERM→5000 SIGKILL→6000'],
    ['Windows: stdin is the only polite step', windows, 'stdin-eof→2000 SIGKILL→3000'],
    ['Windows without stdin', { ...windows, stdin: false }, 'SIGKILL→1000'],
    ['force', { ...all, force: true }, 'SIGKILL→1000'],
    [
      'stdin ended 1.5 s ago',
      { ...all, stdinEndedForMs: 1500 },
      'stdin-eof→500 SIGTERM→5500 SIGKILL→6500',
    ],
    [
      'stdin ended long ago',
      { ...all, stdinEndedForMs: 1e9 },
      'stdin-eof→0 SIGTERM→5000 SIGKILL→6000',
    ],
    [
      'a deadline that changes nothing',
      { ...all, deadlineMs: 8000 },
      'stdin-eof→2000 SIGTERM→7000 SIGKILL→8000',
    ],
    [
      'a later deadline',
      { ...all, deadlineMs: 60_000 },
      'stdin-eof→2000 SIGTERM→7000 SIGKILL→8000',
    ],
    [
      "a deadline that costs stdin's wait",
      { ...all, deadlineMs: 7000 },
      'stdin-eof→1000 SIGTERM→6000 SIGKILL→7000',
    ],
    [
      'a deadline that takes all of the time for stdin',
      { ...all, deadlineMs: 4000 },
      'stdin-eof→0 SIGTERM→3000 SIGKILL→4000',
    ],
    [
      'a deadline only for SIGKILL',
      { ...all, deadlineMs: 1000 },
      'stdin-eof→0 SIGTERM→0 SIGKILL→1000',
    ],
    [
      'a deadline shorter than SIGKILL',
      { ...all, deadlineMs: 300 },
      'stdin-eof→0 SIGTERM→0 SIGKILL→300',
    ],
    ['a deadline of zero', { ...all, deadlineMs: 0 }, 'stdin-eof→0 SIGTERM→0 SIGKILL→0'],
    ['force with a deadline', { ...all, force: true, deadlineMs: 300 }, 'SIGKILL→300'],
  ];

  it.each(CASES)('plans %s', (_what, situation, plan) => {
    expect(show(DEFAULTS, situation)).toBe(plan);
  });

  const ms = fc.integer({ min: 0, max: 20_000 });
  const options = fc.record({ stdinEofMs: ms, termMs: ms, killMs: ms });
  const situation = fc.record(
    {
      stdin: fc.boolean(),
      politeSignals: fc.boolean(),
      stdinEndedForMs: ms,
      force: fc.boolean(),
      deadlineMs: fc.option(ms, { nil: undefined }),
    },
    { requiredKeys: ['stdin', 'politeSignals'] },
  );

  it('ends with SIGKILL in any situation, with steps in ascending severity', () => {
    fc.assert(
      fc.property(options, situation, (times, at) => {
        const steps = planLadder(times, at);
        const order = ['stdin-eof', 'SIGTERM', 'SIGKILL'];
        const indexes = steps.map(({ send }) => order.indexOf(send));
        expect(indexes.at(-1)).toBe(2);
        expect(indexes).toEqual([...new Set(indexes)].sort());
      }),
      FUZZ,
    );
  });

  it('never goes back in time, nor beyond the deadline, nor beyond its own steps', () => {
    fc.assert(
      fc.property(options, situation, (times, at) => {
        const untils = planLadder(times, at).map(({ untilMs }) => untilMs);
        expect(untils).toEqual([...untils].sort((a, b) => a - b));
        expect(untils.every((untilMs) => untilMs >= 0)).toBe(true);
        const endMs = untils.at(-1) ?? Number.NaN;
        expect(endMs).toBeLessThanOrEqual(at.deadlineMs ?? Number.POSITIVE_INFINITY);
        expect(endMs).toBeLessThanOrEqual(times.stdinEofMs + times.termMs + times.killMs);
      }),
      FUZZ,
    );
  });

  it('gives SIGKILL all of its time that the deadline allows', () => {
    fc.assert(
      fc.property(options, situation, (times, at) => {
        const steps = planLadder(times, at);
        const endMs = steps.at(-1)?.untilMs ?? Number.NaN;
        const begunMs = steps.at(-2)?.untilMs ?? 0;
        expect(endMs - begunMs).toBe(Math.min(times.killMs, at.deadlineMs ?? times.killMs));
      }),
      FUZZ,
    );
  });

  it('has no polite step if forced, and no polite signal where there is none', () => {
    fc.assert(
      fc.property(options, situation, (times, at) => {
        const sends = planLadder(times, at).map(({ send }) => send);
        if (at.force === true) expect(sends).toEqual(['SIGKILL']);
        if (!at.politeSignals) expect(sends).not.toContain('SIGTERM');
        if (!at.stdin) expect(sends).not.toContain('stdin-eof');
      }),
      FUZZ,
    );
  });

  it('waits shorter and never longer for a stricter deadline', () => {
    fc.assert(
      fc.property(options, situation, ms, ms, (times, at, one, other) => {
        const [short, long] = [Math.min(one, other), Math.max(one, other)];
        const strict = planLadder(times, { ...at, deadlineMs: short });
        for (const [index, step] of planLadder(times, { ...at, deadlineMs: long }).entries()) {
          expect(strict[index]?.untilMs).toBeLessThanOrEqual(step.untilMs);
        }
      }),
      FUZZ,
    );
  });
});
