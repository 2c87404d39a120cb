import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { exitReport } from '../../../kit/exit-report.ts';
import { runs } from '../../../kit/property.ts';
import { SupervisorError, type SupervisorErrorCode } from '../../../src/errors.ts';
import {
  crashSignature,
  decideRestart,
  type RestartPolicy,
  type RunHistory,
  withBackoff,
} from '../../../src/policy/restart-policy.ts';
import type { ExitCause, ExitReport } from '../../../src/reports.ts';

const DEFAULTS = {
  maxRestarts: 5,
  windowMs: 600_000,
  backoffMs: undefined,
  maxBackoffMs: undefined,
  jitter: 0.5,
  sameCrashLimit: 3,
};
const POLICY: RestartPolicy = withBackoff(DEFAULTS);
const NOW = Date.UTC(2026, 10, 24);
const decide = (
  report: ExitReport,
  history: Partial<RunHistory> = {},
  policy: Partial<RestartPolicy> = {},
) =>
  decideRestart(
    report,
    { ends: [], restartedAt: [], now: NOW, asked: false, random: 0, ...history },
    { ...POLICY, ...policy },
  );
const refused = (code: SupervisorErrorCode, intentional = false) =>
  exitReport({
    cause: 'not-started',
    code: null,
    intentional,
    error: new SupervisorError(code, 'no'),
  });

describe('an exit', () => {
  const RESTART = { delayMs: 1000 };
  const outside = { outcome: 'intentional', fromOutside: true };
  const CASES: [what: string, report: ExitReport, decision: object][] = [
    ['with code 0', exitReport({ code: 0 }), { outcome: 'completed' }],
    ['with code 1', exitReport({ code: 1 }), RESTART],
    ['with code 255', exitReport({ code: 255 }), RESTART],
    ['by SIGSEGV', exitReport({ code: null, signal: 'SIGSEGV' }), RESTART],
    ['by a SIGKILL of others', exitReport({ code: null, signal: 'SIGKILL' }), RESTART],
    ['with the code by which a shell reports a crash', exitReport({ code: 139 }), RESTART],
    ['by a SIGTERM of others', exitReport({ code: null, signal: 'SIGTERM' }), outside],
    ['by a SIGINT of others', exitReport({ code: null, signal: 'SIGINT' }), outside],
    ['by a SIGHUP of others', exitReport({ code: null, signal: 'SIGHUP' }), outside],
    ['with the code of claude after SIGTERM', exitReport({ code: 143 }), outside],
    [
      'of a request that was cancelled in the queue',
      refused('ABORTED', true),
      { outcome: 'intentional' },
    ],
    ['before the start, by the end of its session', refused('ABORTED'), { outcome: 'aborted' }],
    ['before the start, by a stop of its supervisor', refused('STOPPING'), { outcome: 'aborted' }],
    ['before the start, for HARD_CAP', refused('HARD_CAP'), { outcome: 'refused' }],
    ['before the start, for SPAWN_RATE', refused('SPAWN_RATE'), { outcome: 'refused' }],
    ['before the start, for DEPTH_EXCEEDED', refused('DEPTH_EXCEEDED'), { outcome: 'refused' }],
    ['before the start, for its command', refused('COMMAND_NOT_FOUND'), { outcome: 'refused' }],
  ];
  it.each(CASES)('%s', (_what, report, decision) => {
    expect(decide(report)).toMatchObject(decision);
  });

  const OURS: ExitCause[] = [
    ...(['aborted', 'reaped', 'wall-clock', 'startup', 'idle', 'memory'] as const),
    ...(['lifetime', 'budget', 'duplicate', 'shutdown'] as const),
  ];
  it.each(OURS)(
    'restarts nothing with our own cause %s, and does not count as from outside',
    (cause) => {
      for (const how of [{ code: 1 }, { code: null, signal: 'SIGKILL' as const }])
        expect(decide(exitReport({ ...how, cause, intentional: true }))).toEqual({
          outcome: 'intentional',
          fromOutside: false,
        });
    },
  );

  it('does not count as from outside if this host asked for its SIGTERM', () => {
    const report = exitReport({ code: null, signal: 'SIGTERM' });
    expect(decide(report, { asked: true })).toEqual({ outcome: 'intentional', fromOutside: false });
  });

  it('never causes a restart if it was intentional, whatever else is known', () => {
    const reports = fc.record({
      code: fc.option(fc.integer({ min: 0, max: 255 })),
      signal: fc.constantFrom(null, 'SIGTERM' as const, 'SIGSEGV' as const),
      cause: fc.constantFrom<ExitCause>(...OURS, 'terminated', 'not-started', 'failed'),
      stderrTail: fc.string(),
    });
    fc.assert(
      fc.property(reports, fc.boolean(), fc.double({ min: 0, max: 1, noNaN: true }), (...of) => {
        const [fields, asked, random] = of;
        const decision = decide(exitReport({ ...fields, intentional: true }), { asked, random });
        expect(decision.outcome).toBe('intentional');
      }),
      runs(100),
    );
  });
});

describe('the budget', () => {
  const different = (n: number) => exitReport({ code: n });

  it.each([
    ['none', 0, 'exhausted'],
    ['one', 1, undefined],
  ])('of %s', (_what, maxRestarts, outcome) => {
    expect(decide(exitReport(), {}, { maxRestarts }).outcome).toBe(outcome);
  });

  it('counts the restarts in the window', () => {
    const at = (...ages: number[]) => ({ restartedAt: ages.map((age) => NOW - age) });
    const policy = { maxRestarts: 2, windowMs: 1000 };
    expect(decide(exitReport(), at(10), policy).outcome).toBeUndefined();
    expect(decide(exitReport(), at(10, 20), policy).outcome).toBe('exhausted');
    expect(decide(exitReport(), at(10, 999), policy).outcome).toBe('exhausted');
    expect(decide(exitReport(), at(10, 1000), policy).outcome).toBeUndefined();
    expect(decide(exitReport(), at(10, -99_999), policy).outcome).toBe('exhausted');
  });

  it('never allows a window more restarts, whenever the crashes come', () => {
    const gaps = fc.array(fc.integer({ min: 0, max: 600 }), { maxLength: 100 });
    fc.assert(
      fc.property(gaps, fc.integer({ min: 0, max: 6 }), (waits, maxRestarts) => {
        const windowMs = 1000;
        const restartedAt: number[] = [];
        let now = NOW;
        for (const [n, wait] of waits.entries()) {
          now += wait;
          const decision = decide(
            different(n),
            { restartedAt, now },
            { maxRestarts, windowMs, sameCrashLimit: 100 },
          );
          if (decision.outcome === undefined) restartedAt.push(now);
        }
        for (const at of restartedAt) {
          const within = restartedAt.filter((other) => other >= at && other - at < windowMs);
          expect(within.length).toBeLessThanOrEqual(maxRestarts);
        }
      }),
      runs(100),
    );
  });
});

describe('the backoff', () => {
  const delays = (policy: Partial<RestartPolicy>, random = 0) =>
    Array.from({ length: 8 }, (_, n) => {
      const restartedAt = Array.from({ length: n }, () => NOW - 1);
      return decide(exitReport(), { restartedAt, random }, { maxRestarts: 99, ...policy }).delayMs;
    });

  it('doubles up to its maximum', () => {
    const full = [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000];
    expect(delays({})).toEqual(full);
    expect(delays({ jitter: 0 }, 0.9)).toEqual(full);
  });

  it('is shortened at random, never lengthened', () => {
    expect(delays({ jitter: 0.5 }, 0.5).slice(0, 3)).toEqual([750, 1500, 3000]);
    expect(delays({ jitter: 1 }, 0.999).every((ms) => ms !== undefined && ms < 61)).toBe(true);
  });

  it('stays a number, however often the process was restarted', () => {
    const restartedAt = Array.from({ length: 5000 }, () => NOW);
    const policy = { maxRestarts: 1e6, jitter: 0 };
    expect(decide(exitReport(), { restartedAt }, policy).delayMs).toBe(60_000);
    expect(decide(exitReport(), { restartedAt }, { ...policy, backoffMs: 0 }).delayMs).toBe(0);
  });

  it.each([
    [{}, 1000, 60_000],
    [{ backoffMs: 90_000 }, 90_000, 90_000],
    [{ maxBackoffMs: 200 }, 200, 200],
    [{ backoffMs: 5, maxBackoffMs: 7 }, 5, 7],
  ])('%j gives %d to %d ms', (given, backoffMs, maxBackoffMs) => {
    expect(withBackoff({ ...DEFAULTS, ...given })).toMatchObject({ backoffMs, maxBackoffMs });
  });
});

describe('a refused start', () => {
  const ran = exitReport({ code: 1 });
  const bySystem = (code: string) =>
    exitReport({
      ...{ cause: 'not-started', code: null, intentional: false },
      error: new SupervisorError('SPAWN_FAILED', 'no', { cause: { code } }),
    });
  const passing = [
    ...(['COMMAND_NOT_FOUND', 'HARD_CAP', 'SPAWN_RATE'] as const).map((code) => refused(code)),
    ...['ETXTBSY', 'EAGAIN'].map(bySystem),
  ];
  const lasting = [refused('BUDGET_EXCEEDED'), refused('SESSION_EXPIRED'), bySystem('EACCES')];

  it('is tried again if one has run before and the reason may pass', () => {
    for (const report of passing)
      expect(decide(report, { ends: [ran] })).toEqual({ delayMs: 1000 });
    for (const report of lasting)
      expect(decide(report, { ends: [ran] })).toEqual({ outcome: 'refused' });
  });

  it('ends the run if none has run before', () => {
    for (const report of passing) {
      expect(decide(report)).toEqual({ outcome: 'refused' });
      expect(decide(report, { ends: [report] })).toEqual({ outcome: 'refused' });
    }
  });

  it('uses up the budget, and is no crash', () => {
    const [report = ran] = passing;
    expect(decide(report, { ends: [ran, report, report, report] })).toEqual({ delayMs: 1000 });
    expect(decide(ran, { ends: [ran, report] })).toEqual({ delayMs: 1000 });
    expect(decide(ran, { ends: [ran, report, ran] })).toEqual({ outcome: 'same-crash' });
    expect(
      decide(report, { ends: [ran], restartedAt: [1, 2, 3, 4, 5].map((at) => NOW - at) }),
    ).toEqual({
      outcome: 'exhausted',
    });
  });
});

describe('crashes that look the same', () => {
  const crash = (stderrTail: string, more: Partial<ExitReport> = {}) =>
    exitReport({ stderrTail, ...more });

  it.each<[why: string, before: ExitReport[], last: ExitReport, outcome: string | undefined]>([
    ['two', [crash('x')], crash('x'), undefined],
    ['three', [crash('x'), crash('x')], crash('x'), 'same-crash'],
    ['three without output', [crash(''), crash('')], crash(''), 'same-crash'],
    ['three, but another code', [crash('x', { code: 2 }), crash('x')], crash('x'), undefined],
    [
      'three, but another signal',
      [crash('x', { code: null, signal: 'SIGSEGV' }), crash('x')],
      crash('x', { code: null, signal: 'SIGABRT' }),
      undefined,
    ],
    ['three, but another last line', [crash('x'), crash('y\nx')], crash('x\ny'), undefined],
    ['three with one between', [crash('x'), crash('x'), crash('y')], crash('x'), undefined],
    [
      'three, of which the second ran for a whole window',
      [crash('x'), crash('x', { durationMs: POLICY.windowMs })],
      crash('x'),
      undefined,
    ],
    [
      'three, of which the first ran for a whole window',
      [crash('x', { durationMs: POLICY.windowMs }), crash('x')],
      crash('x'),
      'same-crash',
    ],
  ])('%s', (_why, ends, last, outcome) => {
    expect(decide(last, { ends }).outcome).toBe(outcome);
  });

  it('are reported before the budget is', () => {
    const ends = [crash('x'), crash('x')];
    expect(decide(crash('x'), { ends }, { maxRestarts: 2 }).outcome).toBe('same-crash');
  });

  const signature = (stderrTail: string) => crashSignature(crash(stderrTail));
  it.each([
    ['a pid', 'worker 4711 died', 'worker 99 died'],
    ['an address', 'fault at 0x7ffeDEAD00', 'fault at 0x1'],
    ['a time', '2026-11-24T03:32:10.123Z fatal', '2026-12-01T23:59:59Z fatal'],
    ['a time in another format', '[24/11/2026 03:32:10] fatal', '[1/12/2026 23:59:59] fatal'],
    ['a duration', 'timed out after 1.53 s', 'timed out after 2 s'],
    ['a long number', 'allocated 123456789.25 bytes', 'allocated 12 bytes'],
    [
      'a request',
      'request deadbeef-0000-4000-8000-00000000abcd',
      'request 00112233-4455-4677-8899-aabbccddeeff',
    ],
    ['a hash', 'at commit 0a1b2c3d4e', 'at commit ffff00001111'],
    ['blanks and line ends', 'a\nfatal\n\n  \n', 'b\n  fatal\r\n'],
  ])('may differ in %s', (_what, a, b) => {
    expect(signature(a)).toBe(signature(b));
  });

  it.each([
    ['words', 'cannot read config', 'cannot read cache'],
    ['words of hex letters', 'decade', 'facade'],
    ['the last line', 'x\ny', 'y\nx'],
  ])('do not differ in %s', (_what, a, b) => {
    expect(signature(a)).not.toBe(signature(b));
  });

  it('are compared in time linear in the length of the tail', () => {
    const HOSTILE = ['a', '1', 'a1', '1.', '0x', 'f-', '1a-', ' 1', 'deadbeef-'];
    for (const piece of HOSTILE) {
      const beganMs = performance.now();
      signature(piece.repeat(50_000));
      expect(performance.now() - beganMs, piece).toBeLessThan(500);
    }
  });
});
