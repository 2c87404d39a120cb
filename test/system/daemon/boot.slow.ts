// A daemon that takes longer to boot than its launchers have patience.
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, vi } from 'vitest';
import { CAN_CONTAIN } from '../../../kit/containment.ts';
import { it, type LauncherResult, PATIENCE, TIMEOUT_MS } from '../../../kit/daemons.ts';
import { eventually } from '../../../kit/process-table.ts';

vi.setConfig({ testTimeout: TIMEOUT_MS });

const isWarming = ({ code, data }: LauncherResult) =>
  code === 'READY_TIMEOUT' && data?.['state'] === 'warming';

describe.runIf(CAN_CONTAIN)('a daemon that boots slowly', () => {
  it('boots once, however little patience its launchers have', async ({ rig }) => {
    const options = rig.options({ startMs: 2500 }, { timeoutMs: 300 });
    const results: LauncherResult[] = [];
    while (results.at(-1)?.report === undefined && results.length < 100)
      results.push(...(await Promise.all(Array.from({ length: 5 }, () => rig.ensure(options)))));
    const [pid] = rig.daemons().map((each) => each.pid);
    for (const result of results) {
      const isServed = result.report !== undefined;
      expect(isServed || result.code === 'READY_TIMEOUT', JSON.stringify(result)).toBe(true);
      if (isServed || isWarming(result))
        expect(result.report?.pid ?? result.data?.['pid']).toBe(pid);
    }
    expect(results.some(isWarming)).toBe(true);
    expect(rig.entries('starts')).toHaveLength(1);
    // Ready by now, and said to be: its boot is over.
    expect(rig.file()).not.toHaveProperty('boot');
    await rig.endDaemon();
  });

  it('is ended by its own launcher when its boot is over (the control)', async ({ rig }) => {
    const options = rig.options({ listen: null }, { timeoutMs: 60_000, bootMs: 1000 });
    const result = await rig.ensure(options);
    expect(result).toMatchObject({ code: 'READY_TIMEOUT' });
    expect(isWarming(result)).toBe(false);
    expect(result.message).toMatch(/was not ready within 1000 ms: .* It was ended\./s);
    await eventually(() => rig.area.tree().length === 0, PATIENCE);
    expect(existsSync(rig.pidFile)).toBe(false);
  });

  it('is ended by the next launcher when its boot is over, and started anew', async ({ rig }) => {
    const stuck = rig.options({ listen: null }, { timeoutMs: 300, bootMs: 3000 });
    const first = await rig.ensure(stuck);
    expect(isWarming(first)).toBe(true);
    const pid = first.data?.['pid'];
    expect(rig.daemons().map((each) => each.pid)).toEqual([pid]);
    expect(JSON.parse(readFileSync(rig.pidFile, 'utf8'))).toMatchObject({ boot: { forMs: 3000 } });
    // Whatever it would grant itself: the one that was started has its own time.
    const next = await rig.ensured(rig.options({}, { bootMs: 60_000 }));
    expect(next).toMatchObject({ started: true });
    expect(next.pid).not.toBe(pid);
    expect(rig.daemons().map((each) => each.pid)).toEqual([next.pid]);
    await rig.endDaemon();
  });
});
