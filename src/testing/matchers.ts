import { parseInput } from '../check.ts';
import type { Supervisor } from '../index.ts';
import { describeLeaks, findLeaks, supervisorGiven } from './leaks.ts';

/** What a matcher gives back to vitest or jest. */
export interface MatcherOutcome {
  readonly pass: boolean;
  message(): string;
}

/** The matchers as `expect` has them; merge it into your runner's own interface. */
export interface LeakMatchers<R = unknown> {
  /** Fails if the supervisor has a live process that is not kept on purpose; what is just ending gets 2 s. */
  toHaveNoLiveProcesses(): Promise<R>;
}

/** For `expect.extend(matchers)`, of vitest and of jest; the setup file has done that. */
export const matchers = {
  async toHaveNoLiveProcesses(
    this: { readonly isNot?: boolean | undefined },
    supervisor: Supervisor,
  ): Promise<MatcherOutcome> {
    // Of anything else nothing would be found, and the test would pass.
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
