import { parseInput } from '../check.ts';
import type { Supervisor } from '../index.ts';
import { describeLeaks, findLeaks, supervisorGiven } from './leaks.ts';

/** The result of a matcher for vitest or jest. */
export interface MatcherOutcome {
  readonly pass: boolean;
  message(): string;
}

/** Types of the matchers on `expect`; merge them into your test runner's own interface. */
export interface LeakMatchers<R = unknown> {
  /**
   * Fails if the supervisor has a live process that is not kept on purpose. Processes that are just
   * ending get 2 s.
   */
  toHaveNoLiveProcesses(): Promise<R>;
}

/** Matchers for `expect.extend(matchers)` of vitest and jest; the setup file calls it for you. */
export const matchers = {
  async toHaveNoLiveProcesses(
    this: { readonly isNot?: boolean | undefined },
    supervisor: Supervisor,
  ): Promise<MatcherOutcome> {
    // A wrong argument has no processes, so the test would pass.
    parseInput(supervisorGiven(), supervisor, 'toHaveNoLiveProcesses', 'expect(…)');
    const graceMs = this.isNot ? 0 : 2000;
    const report = await findLeaks({ supervisor, graceMs, processesOnly: true });
    return {
      pass: report.leaked.length === 0,
      message: () =>
        report.leaked.length > 0
          ? describeLeaks(report)
          : 'expected the supervisor to have live processes, and it has none',
    };
  },
};
