// Loaded by a test runner before each test file: fails the file that leaves something behind, by name.

import { AsyncResource } from 'node:async_hooks';
import { systemClock } from '../os/clock.ts';
import { testRunner } from '../os/runtime.ts';
import { within } from '../os/wait.ts';
import { openedSupervisors } from '../supervisor/internals.ts';
import { describeLeaks, endLeaked, expectNoLeaks, LeakError } from './leaks.ts';
import { matchers } from './matchers.ts';

const STOP_MS = 1000;

interface Expect {
  extend(matchers: object): void;
  getState(): { readonly testPath?: string };
}

type Hook = (callback: () => Promise<void>) => void;

/** Globals of jest; of vitest only with `globals: true`. */
const globals = globalThis as { readonly afterAll?: Hook; readonly expect?: Expect };

/** Throws if there is a leak, and ends it, so that no other test file is blamed for it. */
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

/**
 * Stops all supervisors: their waiting requests would keep the process alive. The race is for those with
 * a fake clock, whose stop may never resolve.
 */
async function endAll(): Promise<void> {
  const stops = [...openedSupervisors().values()].map(async ({ supervisor }) => {
    await supervisor.deref()?.stop({ deadlineMs: STOP_MS });
  });
  // It leaves no timer, which would keep the runner from ending.
  await within(2 * STOP_MS, Promise.allSettled(stops), systemClock);
}

function extend({ expect, afterAll }: { expect: Expect; afterAll: Hook }): void {
  expect.extend(matchers);
  afterAll(() => check(expect.getState().testPath));
}

/** Checks at the end of the file's run: Jest would call an `afterAll` of this file before the others. */
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

/**
 * Checks after all other hooks of the file. A hook of node:test, too, runs in the order of definition;
 * one that the first hook adds, outside of its own scope, is the last.
 */
async function atEndOfNode(file: string): Promise<void> {
  const { after } = await import('node:test');
  const outside = new AsyncResource('agent-supervisor/testing/setup');
  after(() => outside.runInAsyncScope(() => after(() => check(file))));
}

const runner = testRunner();
// Jest is found by its event handlers, since its globals can be off, and vitest's can be on.
if (atEndOfJest()) globals.expect?.extend(matchers);
else if (globals.afterAll !== undefined && globals.expect !== undefined) {
  extend({ expect: globals.expect, afterAll: globals.afterAll });
} else if (runner.name === 'vitest') {
  const { afterAll, expect } = await import('vitest');
  extend({ expect, afterAll });
} else if (runner.file !== undefined) await atEndOfNode(runner.file);
