import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { it, sleepers, TREE } from '../../../kit/command-line.ts';
import { CAN_CONTAIN, SLEEPER, spawned } from '../../../kit/containment.ts';
import { eventually } from '../../../kit/process-table.ts';

describe.runIf(CAN_CONTAIN)('runs with --concurrency', () => {
  const counted = ['sh', '-c', 'echo + >>log; sleep 0.3; echo - >>log'];
  const most = (path: string): number => {
    let [running, peak] = [0, 0];
    for (const sign of readFileSync(path, 'utf8').trim().split('\n')) {
      running += sign === '+' ? 1 : -1;
      peak = Math.max(peak, running);
    }
    return peak;
  };

  it('are never more at once, whichever shell they come from', async ({ line, area }) => {
    const call = () => line.call(['run', '--concurrency', '1', '--', ...counted]);
    const ends = await Promise.all(Array.from({ length: 4 }, call));
    expect(ends.map(({ code }) => code)).toEqual([0, 0, 0, 0]);
    expect(most(join(area.folder, 'log'))).toBe(1);
    expect(ends.some(({ stderr }) => stderr.includes('waiting, for all 1 slots'))).toBe(true);
    expect(area.files()).not.toContain('slots');
  });

  it('give up after --wait, with 75', async ({ line, area }) => {
    const holder = line.start(['run', '--concurrency', '1', '--', 'sleep', '300']);
    await sleepers(line, 1);
    const { code, stderr, stdout } = await line.call([
      ...['run', '--concurrency', '1', '--wait', '200ms', '--', 'touch', 'started'],
    ]);
    expect(stderr).toMatch(
      /^agent-supervisor: Nothing was started: all 1 slots of this machine are held: pid \d+ on \S+\.$/m,
    );
    expect({ code, stdout }).toEqual({ code: 75, stdout: '' });
    expect(existsSync(join(area.folder, 'started'))).toBe(false);
    // A kind has slots of its own.
    const other = ['run', '--kind', 'test', '--concurrency', '1', '--wait', '0s', '--', 'true'];
    expect(await line.call(other)).toMatchObject({ code: 0, stderr: '' });
    holder.kill('SIGTERM');
    await once(holder, 'exit');
  });

  it('count together with the agents of hosts, as ps and the doctor show', async ({
    line,
    area,
  }) => {
    const pool = { machineConcurrency: 1 };
    const host = await area.readyHost({ options: { pool } });
    await host.ask({ do: 'start' });
    const { id, pid } = await spawned(host, { ...SLEEPER, kind: 'agent' });
    const refused = await line.call(['run', '--concurrency', '1', '--wait', '0s', '--', 'true']);
    expect(refused).toMatchObject({ code: 75 });
    expect(refused.stderr).toContain(`are held: pid ${host.child.pid} on`);
    const waiter = line.start(['run', '--concurrency', '1', '--', 'echo', 'at last']);
    const isWaiting = /host [\da-f]{8} +\d+ +0 +1 +[\d.]+m?s +all slots are held/;
    await eventually(async () => isWaiting.test((await line.call(['ps'])).stdout), {
      timeoutMs: 20_000,
    });
    const [slots] = JSON.parse((await line.call(['doctor', '--json'])).stdout).machineSlots;
    expect(slots).toMatchObject({ kind: null, limit: 1, held: 1 });
    expect(slots.hosts[0]).toMatchObject({ pid: host.child.pid, held: 1, holders: [id] });
    expect(slots.hosts[1]).toMatchObject({ held: 0, waiting: [{ why: 'slots-held' }] });
    process.kill(pid, 'SIGKILL');
    const [code] = await once(waiter, 'exit');
    expect(code).toBe(0);
  });

  it("take over a dead run's slot when its tree is dead, whoever ends that", async ({
    line,
    area,
  }) => {
    const holder = line.start([
      'run',
      '--concurrency',
      '1',
      '--grace',
      '8s',
      '--',
      'sh',
      '-c',
      TREE,
    ]);
    const rows = await sleepers(line);
    const ender = await area.readyHost({
      options: { ladder: { stdinEofMs: 0, termMs: 8000, killMs: 500 } },
    });
    await ender.ask({ do: 'start' });
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    ender.send({ do: 'sweep' });
    await eventually(() => area.files().some((name) => name.startsWith('claim-')));
    const pids = rows.map(({ pid }) => pid).join(' ');
    const look = `for pid in ${pids}; do grep -E '\\) [^ZX] ' /proc/$pid/stat; done 2>/dev/null; true`;
    const heir = await line.call(['run', '--concurrency', '1', '--', 'sh', '-c', look]);
    expect(heir).toMatchObject({ code: 0, stdout: '' });
  });
});
