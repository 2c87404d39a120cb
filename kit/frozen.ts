// Hosts that are stopped by SIGSTOP in the middle of a step, and continued.
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { startHost } from './host.ts';
import { MARKER } from './scenarios.ts';

/** The report of a host on its step. */
export interface FrozenStep {
  readonly cause: string;
  readonly forced: boolean;
  readonly outcome: string;
  readonly durationMs: number;
  readonly pausedMs: number;
  /** The time at which a plain timer fired that was set at the start of the step. */
  readonly plainMs: number;
  /** Time from the start of the step to SIGTERM, and to SIGKILL. */
  readonly termMs: number;
  readonly killedMs: number;
  /** Shortest time that it stood still: less the time that the signals took. */
  readonly frozenMs: number;
}

export interface FreezeOptions {
  readonly folder: string;
  readonly marker: string;
  readonly freezeMs: number;
}

/** Runs a step of test/fixtures/hosts/frozen.ts, and stops its host in the middle of it. */
export async function freezeIn(
  step: string,
  { folder, marker, freezeMs }: FreezeOptions,
): Promise<FrozenStep> {
  const env = { PATH: process.env['PATH'] ?? '', HOME: folder, [MARKER]: marker };
  const host = startHost('frozen.ts', { args: [folder, step, String(freezeMs)], env });
  const [, also] = (await host.line('freeze')).split(' ');
  // A child of this process, which is not reaped meanwhile, and one of the host, which cannot reap.
  host.kill('SIGSTOP');
  const beganMs = performance.now();
  if (also) process.kill(Number(also), 'SIGSTOP');
  await delay(freezeMs);
  if (also) process.kill(Number(also), 'SIGCONT');
  const frozenMs = performance.now() - beganMs;
  host.kill('SIGCONT');
  const result = await host.line('result');
  await host.end;
  return { ...JSON.parse(result.slice('result '.length)), frozenMs };
}

/** The same as in test/fixtures/hosts/frozen.ts. */
const STEP_MS = 1500;
/** Tolerance for the length of a gap, and for a busy machine. */
const LATE_MS = 500 + 4 * STEP_MS;

/** Expects the limit to end it after that running time, and not with a plain timer. */
function expectLimit({ durationMs, pausedMs, plainMs, frozenMs }: FrozenStep): void {
  expect(pausedMs).toBeGreaterThan(frozenMs - 20);
  expect(pausedMs).toBeLessThan(frozenMs + LATE_MS);
  expect(durationMs - frozenMs).toBeGreaterThan(STEP_MS - 20);
  expect(durationMs - frozenMs).toBeLessThan(STEP_MS + LATE_MS);
  expect(plainMs - frozenMs, 'a plain timer').toBeLessThan(STEP_MS);
}

function expectLadder(step: FrozenStep, termMs: number, killedMs: number): void {
  expect(step).toMatchObject({ forced: true });
  expect(step.termMs - step.frozenMs).toBeGreaterThan(termMs - 20);
  expect(step.killedMs - step.frozenMs).toBeGreaterThan(killedMs - 20);
  expect(step.killedMs - step.frozenMs).toBeLessThan(killedMs + LATE_MS);
}

const limit = (cause: string) => (step: FrozenStep) => {
  expect(step.cause).toBe(cause);
  expectLimit(step);
};
const outcome = (expected: string) => (step: FrozenStep) => expect(step.outcome).toBe(expected);

/** Every step of a process's life, with an expectation that holds although its host stood still. */
export const FREEZES: readonly (readonly [string, (step: FrozenStep) => void])[] = [
  ['startup', limit('startup')],
  ['idle', limit('idle')],
  ['quiet', limit('idle')],
  ['lifetime', limit('lifetime')],
  ['all of it', ({ cause }) => expect(cause).toBe('completed')],
  ['end of stdin', (step) => expectLadder(step, STEP_MS, 2 * STEP_MS)],
  // The signal was sent before the stop, and the time counts from then on.
  [
    'SIGTERM',
    (step) => expectLadder({ ...step, termMs: STEP_MS + step.frozenMs }, STEP_MS, 2 * STEP_MS),
  ],
  [
    'stop with a deadline',
    (step) => expectLadder(step, 2 * STEP_MS - 1000 - STEP_MS, 2 * STEP_MS - 1000),
  ],
  ['stop that lets finish', ({ cause }) => expect(cause).toBe('completed')],
  ['slot', outcome('granted')],
  ['service', outcome('ready')],
  ['daemon', outcome('ready')],
  ['lock', outcome('held')],
  [
    'session',
    ({ cause, durationMs, frozenMs }) => {
      expect(cause).toBe('wall-clock');
      expect(durationMs - frozenMs).toBeLessThan(STEP_MS);
    },
  ],
];
