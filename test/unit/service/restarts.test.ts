// What a service decides by, on time that stands still: the breaker, its file and the restart pacer.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { exitReport } from '../../../kit/exit-report.ts';
import { FakeOs } from '../../../kit/fake-os.ts';
import { runs } from '../../../kit/property.ts';
import { standing } from '../../../kit/state-dir.ts';
import type { ExitReport } from '../../../src/index.ts';
import { Breaker } from '../../../src/policy/breaker.ts';
import { RestartPacer } from '../../../src/service/restart-pacer.ts';
import { restartRuleOf } from '../../../src/service/restart-rule.ts';
import { servicePath } from '../../../src/store/layout.ts';
import { removeOldRestarts } from '../../../src/store/restart-log.ts';
import { observeClock } from '../../../src/store/retention.ts';
import { ServiceFile } from '../../../src/store/service-file.ts';
import { budgetInMemory } from '../../../src/supervisor/restart-loop.ts';

const DAY_MS = 24 * 3_600_000;
const OPEN_MS = 60_000;

let stateDir = '';
let os = new FakeOs();
let warnings: string[] = [];

beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'agent-supervisor-breaker-'));
  os = new FakeOs();
  warnings = [];
});
afterEach(() => rmSync(stateDir, { recursive: true, force: true }));

/** What a host has of a service: a new one of each stands for a host that was restarted. */
function fileOf(name = 'server'): ServiceFile {
  return new ServiceFile({
    os,
    path: servicePath(stateDir, name),
    name,
    longestOpenMs: 600_000,
    warn: (message) => warnings.push(message),
  });
}

const breakerOf = (file = fileOf()): Breaker => new Breaker({ failures: 3, openMs: OPEN_MS }, file);

function failThrice(breaker: Breaker): void {
  for (let turn = 1; turn <= 3; turn++) breaker.fail();
}

describe('the breaker', () => {
  it('opens at the third failure in a row, and not before', () => {
    const breaker = breakerOf();
    expect([breaker.fail(), breaker.fail()]).toEqual([0, 0]);
    expect(breaker.openForMs).toBe(0);
    expect(breaker.fail()).toBe(OPEN_MS);
    expect(breaker.openForMs).toBe(OPEN_MS);
  });

  it('counts from nothing after what worked', () => {
    const breaker = breakerOf();
    breaker.fail();
    breaker.fail();
    breaker.reset();
    expect([breaker.fail(), breaker.fail(), breaker.fail()]).toEqual([0, 0, OPEN_MS]);
  });

  it('lets one try when its time is over, whose failure opens it again', () => {
    const breaker = breakerOf();
    failThrice(breaker);
    os.clock.advanceInOneTick(OPEN_MS - 1);
    expect(breaker.openForMs).toBe(1);
    os.clock.advanceInOneTick(1);
    expect(breaker.openForMs).toBe(0);
    expect(breaker.fail()).toBe(OPEN_MS);
  });

  it('stays open over the end of its host, for as long as it has left', () => {
    failThrice(breakerOf());
    os.clock.advanceInOneTick(20_000);
    expect(breakerOf().openForMs).toBe(40_000);
    os.clock.advanceInOneTick(40_000);
    expect(breakerOf().openForMs).toBe(0);
    expect(breakerOf().fail()).toBe(OPEN_MS);
  });

  it.each([
    ['set back', -DAY_MS],
    ['set forward', DAY_MS],
  ])('minds no clock that is %s a day, over the end of its host', (_, byMs) => {
    failThrice(breakerOf());
    os.clock.setWall(os.clock.now() + byMs);
    os.clock.advanceInOneTick(20_000);
    expect(breakerOf().openForMs).toBe(40_000);
  });

  it('closes in time after a reboot, though the clock was set back a day', () => {
    failThrice(breakerOf());
    os.bootId = 'the next boot';
    os.clock.setWall(os.clock.now() - DAY_MS);
    expect(breakerOf().openForMs).toBe(OPEN_MS);
    os.clock.advanceInOneTick(OPEN_MS - 1);
    expect(breakerOf().openForMs).toBe(1);
    os.clock.advanceInOneTick(1);
    expect(breakerOf().openForMs).toBe(0);
  });

  it('is one for all hosts', () => {
    const [here, there] = [breakerOf(), breakerOf()];
    here.fail();
    there.fail();
    expect(here.fail()).toBe(OPEN_MS);
    expect(there.openForMs).toBe(OPEN_MS);
    expect(breakerOf(fileOf('another')).openForMs).toBe(0);
  });

  it.each([
    ['empty', ''],
    ['torn', '{"version":1,"service":"ser'],
    ['of another format', '{"version":99,"service":"server","failures":3}'],
    ['of another service', '{"version":1,"service":"other","failures":3}'],
    ['forged', '{"version":1,"service":"server","failures":-1}'],
  ])('goes on with what it knows when its file is %s', (_, text) => {
    const breaker = breakerOf();
    breaker.fail();
    breaker.fail();
    const [name = ''] = standing(stateDir);
    writeFileSync(join(stateDir, name), text);
    expect(breaker.fail()).toBe(OPEN_MS);
    expect(warnings).toHaveLength(1);
    expect(breakerOf().openForMs).toBe(OPEN_MS);
  });

  it('is opened by no forged stamp for longer than it may be', () => {
    const breaker = breakerOf();
    breaker.fail();
    const [name = ''] = standing(stateDir);
    const open = { at: 9e15, machine: 'fake', bootId: 'fake-boot', sinceBootMs: 9e15, forMs: 9e15 };
    const forged = { version: 1, service: 'server', failures: 9, open };
    writeFileSync(join(stateDir, name), JSON.stringify(forged));
    expect(breakerOf().openForMs).toBe(600_000);
  });

  it('is remembered as long as its service lives, and 30 days', () => {
    const file = fileOf();
    failThrice(breakerOf(file));
    const [name = ''] = standing(stateDir);
    const isKept = (): boolean => {
      const context = { os, stateDir, dryRun: false };
      removeOldRestarts(context, observeClock({ ...context, bootId: 'fake-boot' }));
      return readdirSync(stateDir).includes(name);
    };
    os.clock.setWall(Date.now());
    expect(isKept()).toBe(true);
    os.clock.advanceInOneTick(29 * DAY_MS);
    expect(isKept()).toBe(true);
    file.touch();
    os.clock.advanceInOneTick(29 * DAY_MS);
    expect(isKept()).toBe(true);
    os.clock.advanceInOneTick(2 * DAY_MS);
    expect(isKept()).toBe(false);
  });

  it('goes on in memory when nothing can be written, and says so once', () => {
    rmSync(stateDir, { recursive: true });
    const breaker = breakerOf();
    failThrice(breaker);
    expect(breaker.openForMs).toBe(OPEN_MS);
    expect(warnings).toHaveLength(1);
  });
});

const POLICY = {
  maxRestarts: 5,
  windowMs: 600_000,
  backoffMs: 1000,
  maxBackoffMs: 8000,
  jitter: 0,
  sameCrashLimit: 3,
};

describe('the restart pacer', () => {
  const pacerOf = (policy: Partial<typeof POLICY> = {}, failures = 100): RestartPacer =>
    new RestartPacer({
      clock: os.clock,
      policy: { ...POLICY, ...policy },
      breaker: new Breaker({ failures, openMs: OPEN_MS }, fileOf()),
      budget: budgetInMemory(),
      random: () => 0.5,
    });
  const crash = (stderrTail: string): ExitReport =>
    exitReport({ cause: 'failed', code: 1, stderrTail });

  it('backs off, doubling, up to its limit', () => {
    const pacer = pacerOf({ maxRestarts: 10 });
    const words = ['a', 'b', 'c', 'd', 'e'];
    const delays = words.map((word) => pacer.count(crash(word), true).delayMs);
    expect(delays).toEqual([1000, 2000, 4000, 8000, 8000]);
  });

  it('stops at the limit of the window, until there is room in it', () => {
    const pacer = pacerOf();
    for (let restart = 1; restart <= 5; restart++) {
      expect(pacer.count(crash(`${'x'.repeat(restart)}`), false).openForMs).toBeUndefined();
      os.clock.advanceInOneTick(60_000);
    }
    // Six in the window; the first of them leaves it 600 s after it came.
    expect(pacer.count(crash('six'), false)).toEqual({
      openForMs: 300_000,
      why: 'it was to be started again 6 times within 600000 ms',
    });
  });

  it('stops when it fails alike, whatever the figures in its last words', () => {
    const pacer = pacerOf();
    expect(pacer.count(crash('port 1 in use'), false).openForMs).toBeUndefined();
    expect(pacer.count(crash('port 22 in use'), false).openForMs).toBeUndefined();
    expect(pacer.count(crash('port 333 in use'), false).openForMs).toBe(OPEN_MS);
  });

  it('opens when the breaker does', () => {
    const pacer = pacerOf({}, 2);
    expect(pacer.count(undefined, true).delayMs).toBe(1000);
    expect(pacer.count(undefined, true).openForMs).toBe(OPEN_MS);
  });

  it('never allows more starts within a window than the policy says', () => {
    const step = fc.record({
      waitMs: fc.nat(200_000),
      isFailure: fc.boolean(),
      alike: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.nat(8), (steps, maxRestarts) => {
        os = new FakeOs();
        const pacer = pacerOf({ maxRestarts }, 3);
        const starts: number[] = [];
        for (const [at, { waitMs, isFailure, alike }] of steps.entries()) {
          const { delayMs = 0, openForMs = 0 } = pacer.count(
            crash(alike ? 'alike' : 'x'.repeat(at)),
            isFailure,
          );
          os.clock.advanceInOneTick(Math.max(delayMs, openForMs) + waitMs);
          const now = os.clock.now();
          starts.push(now);
          const recent = starts.filter((start) => now - start < POLICY.windowMs);
          // A trial of the breaker is one more.
          expect(recent.length).toBeLessThanOrEqual(maxRestarts + 1);
        }
      }),
      runs(200, { costly: 10 }),
    );
  });
});

describe('the end of a service', () => {
  it.each([
    ['failed', false, 'automatic'],
    ['crashed', false, 'automatic'],
    ['memory', true, 'automatic'],
    ['lifetime', true, 'automatic'],
    ['completed', false, 'paced'],
    ['terminated', false, 'paced'],
    ['terminated', true, 'on-demand'],
    ['aborted', true, 'on-demand'],
    ['reaped', true, 'on-demand'],
    ['idle', true, 'on-demand'],
    ['shutdown', true, 'on-demand'],
  ] as const)('%s (asked: %s): %s', (cause, asked, rule) => {
    expect(restartRuleOf(cause, asked)).toBe(rule);
  });
});
