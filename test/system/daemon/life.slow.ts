// A daemon that is stopped, restarted and looked at by its pid file.
import { existsSync, writeFileSync } from 'node:fs';
import { describe, expect, vi } from 'vitest';
import { CAN_CONTAIN } from '../../../kit/containment.ts';
import { type DaemonRig, it, PATIENCE, TIMEOUT_MS } from '../../../kit/daemons.ts';
import { eventually, readRow } from '../../../kit/process-table.ts';
import {
  type DaemonOptions,
  daemonStatus,
  readPidFile,
  readPidFileSync,
  removeStalePidFile,
  restartDaemon,
  stopDaemon,
  validatePidFile,
  validatePidFileSync,
} from '../../../src/daemon/index.ts';

vi.setConfig({ testTimeout: TIMEOUT_MS });

/** Names the test's processes, as the launchers' environment does. */
const optionsOf = (rig: DaemonRig, ...how: Parameters<DaemonRig['options']>) =>
  ({
    ...rig.options(...how),
    env: { ...process.env, ...rig.area.env },
  }) as unknown as DaemonOptions;

describe.runIf(CAN_CONTAIN)('a daemon', () => {
  it('is stopped with its tree, and can be started anew', async ({ rig }) => {
    const { pid } = await rig.ensured(rig.options({ agent: true }));
    expect(rig.area.tree().length).toBeGreaterThan(1);
    expect(await stopDaemon(rig.pidFile)).toEqual({ stopped: true, pid });
    expect(rig.area.tree()).toEqual([]);
    expect(existsSync(rig.pidFile)).toBe(false);
    expect(rig.entries('exits')).toEqual([]);
    // The control: there is nothing to stop.
    expect(await stopDaemon(rig.pidFile)).toEqual({ stopped: false });
    expect(await daemonStatus(rig.pidFile)).toMatchObject({ state: 'missing', failedLaunches: 0 });
    expect(await rig.ensured()).toMatchObject({ started: true });
    await stopDaemon(rig.pidFile);
  });

  it('is restarted: another process, and one at a time', async ({ rig }) => {
    const before = await rig.ensured();
    const after = await restartDaemon(optionsOf(rig));
    expect(after.started).toBe(true);
    expect(after.pid).not.toBe(before.pid);
    expect(rig.daemons().map(({ pid }) => pid)).toEqual([after.pid]);
    // Where none runs, it is started.
    await stopDaemon(rig.pidFile);
    expect(await restartDaemon(optionsOf(rig))).toMatchObject({ started: true });
    expect(rig.entries('starts')).toHaveLength(3);
    await stopDaemon(rig.pidFile);
  });

  it('shows its own fields and its state in its pid file', async ({ rig }) => {
    const fields = { port: rig.port, build: 'abc', debug: true };
    const report = await rig.ensured(rig.options({ run: { fields, version: '2' } }));
    expect(report).toMatchObject({ fields, version: '2' });
    const content = { pid: report.pid, name: 'test', version: '2', fields };
    expect(await readPidFile(rig.pidFile)).toEqual(content);
    expect(readPidFileSync(rig.pidFile)).toEqual(content);
    expect(validatePidFileSync(rig.pidFile)).toBe('alive');
    expect(await daemonStatus(rig.pidFile)).toEqual({
      ...{ state: 'alive', isWarming: false, failedLaunches: 0, retryInMs: 0 },
      ...content,
    });
    // One that finds it is told of them, too.
    expect(await rig.ensured()).toMatchObject({ started: false, fields });
    await rig.kill(report.pid);
    // Its last thread may take longer than its first.
    await eventually(() => validatePidFileSync(rig.pidFile) === 'stale', PATIENCE);
    expect(await daemonStatus(rig.pidFile)).toMatchObject({ state: 'stale', pid: report.pid });
  });

  it('is warming until a launcher has seen it ready', async ({ rig }) => {
    const stuck = rig.options({ listen: null }, { timeoutMs: 300 });
    expect(await rig.ensure(stuck)).toMatchObject({ data: { state: 'warming' } });
    expect(await daemonStatus(rig.pidFile)).toMatchObject({ state: 'alive', isWarming: true });
    expect(await stopDaemon(rig.pidFile)).toMatchObject({ stopped: true });
  });
});

describe.runIf(CAN_CONTAIN)('a pid file', () => {
  it('of a dead process is removed with what that has left, and of a live one stays', async ({
    rig,
  }) => {
    const { pid } = await rig.ensured(rig.options({ agent: true }));
    expect(await removeStalePidFile(rig.pidFile)).toBe(false);
    expect(readRow(pid)).toBeDefined();
    await rig.kill(pid);
    await eventually(() => validatePidFileSync(rig.pidFile) === 'stale', PATIENCE);
    expect(await removeStalePidFile(rig.pidFile)).toBe(true);
    expect(existsSync(rig.pidFile)).toBe(false);
    expect(existsSync(`${rig.pidFile}.lock`)).toBe(false);
    expect(rig.area.tree()).toEqual([]);
    expect(await removeStalePidFile(rig.pidFile)).toBe(false);
  });

  it('that is none is told so in this tick, and stays', async ({ rig }) => {
    writeFileSync(rig.pidFile, 'nonsense');
    expect(validatePidFileSync(rig.pidFile)).toBe('invalid');
    expect(readPidFileSync(rig.pidFile)).toBeUndefined();
    expect(existsSync(rig.pidFile)).toBe(true);
    // As before, the other one moves it aside.
    expect(await validatePidFile(rig.pidFile)).toBe('invalid');
    expect(validatePidFileSync(rig.pidFile)).toBe('missing');
  });

  it.for([undefined, 7, '', 'a\0b'])('at %j is refused', async (path) => {
    const refused = { code: 'INVALID_OPTIONS', data: { field: 'path' } };
    const bad = path as never;
    for (const call of [stopDaemon, removeStalePidFile, daemonStatus, readPidFile])
      await expect(call(bad)).rejects.toMatchObject(refused);
    for (const call of [readPidFileSync, validatePidFileSync])
      expect(() => call(bad)).toThrow(
        expect.objectContaining({ ...refused, data: expect.objectContaining(refused.data) }),
      );
    await expect(stopDaemon('/x', { timeoutMs: -1 })).rejects.toMatchObject({
      data: { field: 'timeoutMs' },
    });
  });
});
