// Fifty launchers at once with little patience.
import { describe, expect, vi } from 'vitest';
import { CAN_CONTAIN } from '../../../kit/containment.ts';
import { it, type LauncherResult, TIMEOUT_MS } from '../../../kit/daemons.ts';

vi.setConfig({ testTimeout: TIMEOUT_MS });

const LAUNCHERS = 50;

describe.runIf(CAN_CONTAIN)('fifty launchers', () => {
  it('boot a slow daemon once, and are all served or told', async ({ rig }) => {
    const options = rig.options({ startMs: 2500 }, { timeoutMs: 800 });
    const launch = () => Promise.all(Array.from({ length: LAUNCHERS }, () => rig.ensure(options)));
    const results = await launch();
    // Those of the first round may all be told.
    while (!results.some(({ report }) => report !== undefined) && results.length < 1000)
      results.push(...(await launch()));
    const [{ pid } = {}] = rig.daemons();
    const isServed = ({ report }: LauncherResult) => report !== undefined && report.pid === pid;
    const isTold = ({ code }: LauncherResult) => code === 'READY_TIMEOUT';
    expect(results.filter((result) => !isServed(result) && !isTold(result))).toEqual([]);
    expect(results.some(isServed)).toBe(true);
    expect(rig.entries('starts')).toHaveLength(1);
    await rig.endDaemon();
  });

  it('start one that always crashes three times', async ({ rig }) => {
    for (const [how, code] of [
      [{ exitCode: 3, run: false }, 'SPAWN_FAILED'],
      [{ crashAfterMs: 0 }, undefined],
    ] as const) {
      const before = rig.entries('starts').length;
      const options = rig.options(how, { timeoutMs: 40_000, pidFile: `${rig.pidFile}${before}` });
      const results: LauncherResult[] = [];
      while (!results.some(({ data }) => data?.['failures'] === 3) && results.length < 1000)
        results.push(
          ...(await Promise.all(Array.from({ length: LAUNCHERS }, () => rig.ensure(options)))),
        );
      expect(rig.entries('starts').length - before).toBe(3);
      if (code !== undefined) expect(results.filter((each) => each.code === code)).toHaveLength(3);
    }
  });
});
