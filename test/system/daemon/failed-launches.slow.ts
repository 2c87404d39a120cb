// A daemon that cannot work is not started again and again, however many launchers ask for it.
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { describe, expect, vi } from 'vitest';
import { CAN_CONTAIN } from '../../../kit/containment.ts';
import { it, type LauncherResult, PATIENCE, TIMEOUT_MS } from '../../../kit/daemons.ts';
import { eventually } from '../../../kit/process-table.ts';

vi.setConfig({ testTimeout: TIMEOUT_MS });

const codes = (results: readonly LauncherResult[], code: string) =>
  results.filter((result) => result.code === code);

describe.runIf(CAN_CONTAIN)('failed launches', () => {
  it('are three for all launchers, and no more until the breaker is forgotten', async ({ rig }) => {
    const launches = `${rig.pidFile}.launches`;
    const crashes = rig.options({ exitCode: 3, run: false }, { timeoutMs: 60_000 });
    const results = await Promise.all(Array.from({ length: 12 }, () => rig.ensure(crashes)));
    expect(rig.entries('starts')).toHaveLength(3);
    expect(codes(results, 'SPAWN_FAILED')).toHaveLength(3);
    const held = codes(results, 'CIRCUIT_OPEN');
    expect(held).toHaveLength(9);
    for (const { data } of held) {
      expect(data).toMatchObject({ failures: 3, retryInMs: expect.any(Number) });
      expect(data?.['retryInMs']).toBeGreaterThan(0);
      expect(data?.['retryInMs']).toBeLessThanOrEqual(60_000);
    }
    expect(held[0]?.message).toContain(`To try at once, remove ${launches}.`);
    // The control: without what is on disk it is started once more.
    rmSync(launches);
    expect(await rig.ensure(crashes)).toMatchObject({ code: 'SPAWN_FAILED' });
    expect(rig.entries('starts')).toHaveLength(4);
  });

  it('hold back a launcher that has no time to wait', async ({ rig }) => {
    const crashes = { exitCode: 3, run: false };
    await rig.ensure(rig.options(crashes));
    await rig.ensure(rig.options(crashes));
    // On a busy machine a launcher may need longer than a backoff until it asks.
    const launches = `${rig.pidFile}.launches`;
    const { open, ...rest } = JSON.parse(readFileSync(launches, 'utf8'));
    writeFileSync(launches, JSON.stringify({ ...rest, open: { ...open, forMs: 50_000 } }));
    const hasty = await rig.ensure(rig.options({}, { timeoutMs: 0 }));
    expect(hasty).toMatchObject({ code: 'CIRCUIT_OPEN', data: { failures: 2 } });
    expect(rig.entries('starts')).toHaveLength(2);
  });

  it('count for a daemon that died when its launcher had gone, and are forgotten when it works', async ({
    rig,
  }) => {
    const launches = `${rig.pidFile}.launches`;
    const stuck = rig.options({ listen: null, run: false }, { timeoutMs: 0 });
    const warming = await rig.ensure(stuck);
    expect(warming).toMatchObject({ code: 'READY_TIMEOUT', data: { state: 'warming' } });
    await rig.kill(Number(warming.data?.['pid']));
    await eventually(() => rig.area.tree().length === 0, PATIENCE);
    const hasty = await rig.ensure(stuck);
    expect(hasty).toMatchObject({ code: 'CIRCUIT_OPEN', data: { failures: 1 } });
    expect(existsSync(launches)).toBe(true);
    expect(await rig.ensured()).toMatchObject({ started: true });
    expect(existsSync(launches)).toBe(false);
    await rig.endDaemon();
  });

  it('are not those that the system refuses', async ({ rig }) => {
    for (let launch = 0; launch < 4; launch++) {
      const result = await rig.ensure(rig.options({}, { command: 'no-such-program' }));
      expect(result).toMatchObject({ code: 'COMMAND_NOT_FOUND' });
    }
    expect(existsSync(`${rig.pidFile}.launches`)).toBe(false);
  });

  it('are also those of a daemon that crashes as soon as it is ready', async ({ rig }) => {
    const crashes = rig.options({ crashAfterMs: 1000 });
    const results: LauncherResult[] = [];
    // A launcher that comes before the crash is served.
    const held = () => codes(results, 'CIRCUIT_OPEN').find(({ data }) => data?.['failures'] === 3);
    await eventually(async () => {
      results.push(await rig.ensure({ ...crashes, timeoutMs: 30_000 }));
      return held() !== undefined;
    }, PATIENCE);
    expect(rig.entries('starts')).toHaveLength(3);
    // On a busy machine it may crash before it was seen ready.
    expect(results.filter(({ report }) => report?.started).length).toBeGreaterThan(0);
  });

  it('are not a daemon that lived for a minute after it was ready (the control)', async ({
    rig,
  }) => {
    const { pid } = await rig.ensured();
    const { ready, ...file } = JSON.parse(readFileSync(rig.pidFile, 'utf8'));
    expect(ready).toMatchObject({ failures: 0 });
    const longAgo = { ...ready, sinceBootMs: ready.sinceBootMs - 61_000 };
    writeFileSync(rig.pidFile, JSON.stringify({ ...file, ready: longAgo }));
    await rig.kill(pid);
    expect(await rig.ensured()).toMatchObject({ started: true });
    expect(rig.file()).toMatchObject({ ready: { failures: 0 } });
    await rig.endDaemon();
    expect(await rig.ensured()).toMatchObject({ started: true });
    expect(rig.file()).toMatchObject({ ready: { failures: 1 } });
    await rig.endDaemon();
  });
});
