import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runs } from '../../../kit/property.ts';
import type { ExitCause } from '../../../src/reports.ts';
import { classifyExit, mayBeOomKill } from '../../../src/tree/exit-cause.ts';

const FUZZ = runs(500);

type Row = [
  what: string,
  code: number | null,
  signal: string | null,
  cause: ExitCause,
  intentional: boolean,
];

const ROWS: Row[] = [
  ['success', 0, null, 'completed', false],
  ['an error', 1, null, 'failed', false],
  ['bad usage', 2, null, 'failed', false],
  ['a command that a shell could not run', 126, null, 'failed', false],
  ['a command that a shell did not find', 127, null, 'failed', false],
  ['128 alone is no signal', 128, null, 'failed', false],
  ['SIGHUP as a code', 129, null, 'terminated', true],
  ['SIGINT as a code', 130, null, 'terminated', true],
  ['SIGQUIT as a code: a requested core dump', 131, null, 'failed', false],
  ['SIGILL as a code', 132, null, 'crashed', false],
  ['SIGTRAP as a code', 133, null, 'crashed', false],
  ['SIGABRT as a code', 134, null, 'crashed', false],
  ['SIGBUS as a code', 135, null, 'crashed', false],
  ['SIGFPE as a code', 136, null, 'crashed', false],
  ['SIGKILL as a code: the out-of-memory killer', 137, null, 'crashed', false],
  ['SIGSEGV as a code', 139, null, 'crashed', false],
  ['SIGPIPE as a code', 141, null, 'failed', false],
  ['SIGTERM as a code: how claude exits', 143, null, 'terminated', true],
  ['the highest code', 255, null, 'failed', false],
  ['a Windows status (0xC0000005)', 3221225477, null, 'failed', false],
  ['SIGTERM', null, 'SIGTERM', 'terminated', true],
  ['SIGINT', null, 'SIGINT', 'terminated', true],
  ['SIGHUP', null, 'SIGHUP', 'terminated', true],
  ['SIGKILL', null, 'SIGKILL', 'crashed', false],
  ['SIGSEGV', null, 'SIGSEGV', 'crashed', false],
  ['SIGABRT', null, 'SIGABRT', 'crashed', false],
  ['SIGQUIT', null, 'SIGQUIT', 'crashed', false],
  ['SIGPIPE', null, 'SIGPIPE', 'crashed', false],
  ['a signal that Node does not know', null, 'SIGRTMIN+3', 'crashed', false],
  ['neither code nor signal', null, null, 'crashed', false],
  ['a code beside a signal: the signal says more', 0, 'SIGTERM', 'terminated', true],
];

const REQUESTED: ExitCause[] = [
  ...(['terminated', 'aborted', 'reaped', 'wall-clock', 'startup', 'idle', 'memory'] as const),
  ...(['lifetime', 'budget', 'duplicate', 'shutdown'] as const),
];

describe('mayBeOomKill', () => {
  it.each([
    [null, 'SIGKILL', {}, true],
    [137, null, {}, true],
    [null, null, { unseen: true }, true],
    [null, 'SIGKILL', { requested: 'terminated' }, false],
    [null, null, { unseen: true, requested: 'reaped' }, false],
    [null, 'SIGSEGV', {}, false],
    [0, null, {}, false],
    [139, null, {}, false],
  ] as const)('of code %s, signal %s, with %o: %s', (code, signal, context, expected) => {
    expect(mayBeOomKill(code, signal, context)).toBe(expected);
  });
});

describe('classifyExit', () => {
  it.each(ROWS)('%s: code %s, signal %s is %s, intentional: %s', (_, code, signal, ...verdict) => {
    const [cause, intentional] = verdict;
    expect(classifyExit(code, signal)).toEqual({ cause, intentional });
  });

  it.each(REQUESTED)(
    'returns %s if that was requested before, however the process exited',
    (requested) => {
      fc.assert(
        fc.property(
          fc.option(fc.integer({ min: 0, max: 255 })),
          fc.option(fc.constantFrom('SIGTERM', 'SIGKILL', 'SIGSEGV')),
          (code, signal) => {
            expect(classifyExit(code, signal, { requested })).toEqual({
              cause: requested,
              intentional: true,
            });
          },
        ),
        FUZZ,
      );
    },
  );

  it('calls an unobserved exit completed, unless it was requested', () => {
    const completed = { cause: 'completed', intentional: false };
    expect(classifyExit(null, null, { unseen: true })).toEqual(completed);
    expect(classifyExit(null, 'SIGKILL', { unseen: true, requested: 'reaped' })).toEqual({
      cause: 'reaped',
      intentional: true,
    });
  });

  it('calls an OOM kill memory, unless an end was requested', () => {
    const memory = { cause: 'memory', intentional: false };
    expect(classifyExit(null, 'SIGKILL', { oomKilled: true })).toEqual(memory);
    expect(classifyExit(null, null, { oomKilled: true, unseen: true })).toEqual(memory);
    const requested = 'memory';
    expect(classifyExit(null, 'SIGKILL', { oomKilled: true, requested })).toEqual({
      cause: 'memory',
      intentional: true,
    });
  });

  it('calls nothing intentional that nobody asked for, and has four causes of its own', () => {
    fc.assert(
      fc.property(fc.option(fc.integer()), fc.option(fc.string()), (code, signal) => {
        const { cause, intentional } = classifyExit(code, signal);
        expect(['completed', 'failed', 'crashed', 'terminated']).toContain(cause);
        expect(intentional).toBe(cause === 'terminated');
      }),
      FUZZ,
    );
  });
});
