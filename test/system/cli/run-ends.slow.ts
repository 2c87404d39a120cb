import { once } from 'node:events';
import { describe, expect } from 'vitest';
import { it, MAIN, sleepers, TREE } from '../../../kit/command-line.ts';
import { CAN_CONTAIN } from '../../../kit/containment.ts';
import { eventually, isAlive } from '../../../kit/process-table.ts';

describe.runIf(CAN_CONTAIN)('what ends run', () => {
  it.for(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)(
    '%s ends the whole tree, and run dies of it',
    async (signal, { line }) => {
      const child = line.start(['run', '--grace', '200ms', '--', 'sh', '-c', TREE]);
      const rows = await sleepers(line);
      child.kill(signal);
      expect(await once(child, 'exit')).toEqual([null, signal]);
      expect(rows.filter(isAlive)).toEqual([]);
    },
  );

  it('a second one forces', async ({ line }) => {
    const child = line.start(['run', '--grace', '100s', '--', 'sh', '-c', TREE]);
    const rows = await sleepers(line);
    child.kill('SIGINT');
    const exit = once(child, 'exit');
    // It may not have heard the first one yet, and takes two for one.
    await eventually(() => !child.kill('SIGINT'), { everyMs: 200 });
    expect(await exit).toEqual([null, 'SIGINT']);
    expect(rows.filter(isAlive)).toEqual([]);
  });

  it('SIGKILL leaves nothing of its command', async ({ line, area }) => {
    const child = line.start(['run', '--grace', '200ms', '--', 'sh', '-c', TREE]);
    await sleepers(line);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(await area.survivors(5000)).toEqual([]);
  });

  it.for(['reap', 'stop'] as const)('%s from another shell', async (command, { line }) => {
    const child = line.start(['run', '--session', 'night', '--', 'sh', '-c', TREE]);
    await sleepers(line);
    const { id } = JSON.parse((await line.call(['ps', '--json'])).stdout).processes[0];
    const name = command === 'reap' ? 'night' : id;
    const exit = once(child, 'exit');
    expect(await line.call([command, name, '--grace', '200ms'])).toMatchObject({ code: 0 });
    expect(await exit).toEqual([137, null]);
  });

  it('leftovers are ended, or kept on request', async ({ line, area }) => {
    const leaver = ['sh', '-c', 'setsid sleep 300 >/dev/null 2>&1 </dev/null & echo $!'];
    const ended = await line.call(['run', '--', ...leaver]);
    expect(ended).toMatchObject({ code: 0, stderr: '' });
    expect(await area.survivors(5000)).toEqual([]);
    const kept = await line.call(['run', '--keep-leftovers', '--', ...leaver]);
    expect(kept).toMatchObject({ code: 0, stderr: '' });
    expect(area.tree()).toMatchObject([{ pid: Number(kept.stdout) }]);
    await area.endAll();
  });

  it('--detached lets it live on, even below a supervised command that has ended', async ({
    line,
    area,
  }) => {
    const command = `${process.execPath} ${MAIN} run --detached -- sleep 300`;
    const ended = await line.call(['run', '--', 'sh', '-c', command]);
    expect(ended).toMatchObject({ code: 0, stderr: '' });
    expect(area.tree()).toMatchObject([{ pid: Number(ended.stdout), args: ['sleep', '300'] }]);
    expect((await line.call(['recover', '--yes'])).code).toBe(0);
    expect(area.tree()).toHaveLength(1);
    await area.endAll();
  });

  it('--detached is refused beside what would bound it', async ({ line }) => {
    const refused = await line.call(['run', '--detached', '--idle', '5s', '--', 'true']);
    expect(refused).toMatchObject({ code: 125, stdout: '' });
    expect(refused.stderr).toContain('leave out --idle');
  });
});
