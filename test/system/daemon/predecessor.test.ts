// A worker of earlier code, with a pid file of its own format: proven by its caller, ended, replaced.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { describe, expect, onTestFinished, vi } from 'vitest';
import { CAN_CONTAIN } from '../../../kit/containment.ts';
import { type DaemonRig, it, TIMEOUT_MS } from '../../../kit/daemons.ts';
import { isAlive, readRow } from '../../../kit/process-table.ts';
import { type DaemonOptions, ensureDaemon, type Predecessor } from '../../../src/daemon/index.ts';

vi.setConfig({ testTimeout: TIMEOUT_MS });

/** A worker that listens where the daemon will, and ends by itself. */
async function startWorker(rig: DaemonRig): Promise<ChildProcess & { pid: number }> {
  const script = `require('node:net').createServer().listen(${rig.port}, '127.0.0.1', () => console.log('up')); setTimeout(process.exit, 60_000)`;
  const worker = spawn(process.execPath, ['-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  }) as ChildProcess & { pid: number };
  onTestFinished(() => void worker.kill('SIGKILL'));
  await once(worker.stdout ?? worker, 'data');
  writeFileSync(rig.pidFile, JSON.stringify({ pid: worker.pid, port: rig.port }));
  return worker;
}

const ensure = (rig: DaemonRig, predecessor?: Predecessor) => {
  const { ready: _, ...options } = rig.options();
  return ensureDaemon({
    ...(options as DaemonOptions),
    ...{ env: { ...rig.area.env }, ready: { port: rig.port }, predecessor },
  });
};

describe.runIf(CAN_CONTAIN)('a predecessor', () => {
  it('is ended, and the daemon takes its place', async ({ rig }) => {
    const worker = await startWorker(rig);
    const asked: object[] = [];
    const report = await ensure(rig, {
      pid: () => worker.pid,
      prove: (process) => asked.push(process) > 0,
    });
    expect(report).toMatchObject({ started: true });
    expect(report.pid).not.toBe(worker.pid);
    expect(asked).toEqual([{ pid: worker.pid, command: expect.any(String) }]);
    expect(readRow(worker.pid)?.state ?? 'Z').toBe('Z');
    expect(rig.file()).toMatchObject({ pid: report.pid });
    await rig.endDaemon();
  });

  it('that is not proven is left alone', async ({ rig }) => {
    const worker = await startWorker(rig);
    const refused = ensure(rig, { pid: () => worker.pid, prove: async () => false });
    await expect(refused).rejects.toMatchObject({ code: 'ALREADY_RUNNING' });
    expect(worker.exitCode ?? worker.signalCode).toBe(null);
  });

  it('that is not named is left alone (control)', async ({ rig }) => {
    const worker = await startWorker(rig);
    await expect(ensure(rig)).rejects.toMatchObject({ code: 'ALREADY_RUNNING' });
    expect(worker.exitCode ?? worker.signalCode).toBe(null);
  });

  it('that is dead, or has no pid file, is not asked for', async ({ rig }) => {
    const prove = vi.fn(() => true);
    const dead = await startWorker(rig);
    dead.kill('SIGKILL');
    await once(dead, 'exit');
    await ensure(rig, { pid: () => dead.pid, prove });
    await rig.endDaemon();
    const noFile = () => {
      throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
    };
    await ensure(rig, { pid: noFile, prove });
    expect(prove).not.toHaveBeenCalled();
    await rig.endDaemon();
  });

  it('is not looked for while the daemon lives, whatever proves it', async ({ rig }) => {
    const first = await ensure(rig);
    const again = await ensure(rig, { pid: () => first.pid, prove: () => true });
    expect(again).toEqual({ ...first, started: false });
    expect(isAlive({ pid: first.pid, startTime: rig.file()?.startTime ?? '' })).toBe(true);
    await rig.endDaemon();
  });

  it.for<[object, RegExp]>([
    [{ pid: () => -1, prove: () => true }, /predecessor\.pid/],
    [{ pid: 12, prove: () => true }, /"predecessor\.pid" is 12, but must be a function/],
    [{ pid: () => 12 }, /"predecessor\.prove"/],
  ])('that cannot be one is refused: %o', async ([predecessor, text], { rig }) => {
    const refused = ensure(rig, predecessor as Predecessor);
    await expect(refused).rejects.toMatchObject({
      code: 'INVALID_OPTIONS',
      message: expect.stringMatching(text),
    });
  });
});
