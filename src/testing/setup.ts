// Loaded by a test runner before each test file: fails the file that leaves something behind, by name.
import { AsyncResource } from 'node:async_hooks';
import { systemClock } from '../os/clock.ts';
import { testRunner } from '../os/runtime.ts';
import { openedSupervisors } from '../supervisor/supervisor.ts';
import { describeLeaks, endLeaked, expectNoLeaks, LeakError } from './leaks.ts';
import { matchers } from './matchers.ts';

const STOP_MS = 1000;

interface Expect {
  extend(matchers: object): void;
  getState(): { readonly testPath?: string };
}

type Hook = (callback: () => Promise<void>) => void;

/** What jest and vitest put there, vitest only if it is told to. */
const globals = globalThis as { readonly afterAll?: Hook; readonly expect?: Expect };

/** Fails if there is a leak, and ends it, so that nobody else is blamed for it. */
async function check(file: string | undefined): Promise<void> {
  try {
    await expectNoLeaks();
  } catch (error) {
    if (!(error instanceof LeakError)) throw error;
    await endAll();
    await endLeaked(error.report.leaked);
    const what = describeLeaks(error.report, { areEnded: true });
    error.message = `${file ?? 'This test file'} has left something behind.\n${what}`;
    throw error;
  }
}

/** Refuses what waits, which would keep the process alive; who goes by a clock of its own is not waited for. */
async function endAll(): Promise<void> {
  const stops = [...openedSupervisors().values()].map(async ({ supervisor }) => {
    await supervisor.deref()?.stop({ deadlineMs: STOP_MS });
  });
  const { promise: late, resolve: giveUp } = Promise.withResolvers<void>();
  const cancel = systemClock.after(2 * STOP_MS, giveUp, { keepAlive: true });
  await Promise.race([Promise.allSettled(stops), late]);
  // A timer that is left would keep the runner from ending.
  cancel();
}

function extend({ expect, afterAll }: { expect: Expect; afterAll: Hook }): void {
  expect.extend(matchers);
  afterAll(() => check(expect.getState().testPath));
}

/** Jest runs the hooks of a file in the order of their definition: ours would come before the file's own. */
function atEndOfJest(): boolean {
  const symbol = Object.getOwnPropertySymbols(globalThis).find(
    ({ description }) => description === 'EVENT_HANDLERS',
  );
  const handlers = symbol && (globalThis as Record<symbol, unknown>)[symbol];
  if (!Array.isArray(handlers)) return false;
  handlers.push(async ({ name }: { name: string }) => {
    if (name === 'run_finish') await check(globals.expect?.getState().testPath);
  });
  return true;
}

/** node:test does the same; a hook that is added by the first one, outside of it, is the last one. */
async function atEndOfNode(file: string): Promise<void> {
  const { after } = await import('node:test');
  const outside = new AsyncResource('agent-supervisor/testing/setup');
  after(() => outside.runInAsyncScope(() => after(() => check(file))));
}

const runner = testRunner();
// Jest is known by its own: its globals can be switched off, and vitest's switched on.
if (atEndOfJest()) globals.expect?.extend(matchers);
else if (globals.afterAll !== undefined && globals.expect !== undefined) {
  extend({ expect: globals.expect, afterAll: globals.afterAll });
} else if (runner.name === 'vitest') {
  const { afterAll, expect } = await import('vitest');
  extend({ expect, afterAll });
} else if (runner.file !== undefined) await atEndOfNode(runner.file);
