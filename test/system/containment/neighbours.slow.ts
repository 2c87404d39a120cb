// Owners that share a state directory, and much else, without being each other's heirs.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import {
  type Area,
  CAN_CONTAIN,
  CAN_UNSHARE,
  GRACE_MS,
  it,
  LADDER,
  roleOf,
  SLEEPER,
  UNSHARE,
} from '../../../kit/containment.ts';
import { eventually, isAlive } from '../../../kit/process-table.ts';
import { createSupervisor, type StartReport } from '../../../src/index.ts';

const journals = (area: Area) =>
  new Map(area.files().map((name) => [name, readFileSync(join(area.stateDir, name), 'utf8')]));

describe.runIf(CAN_UNSHARE)('two PID namespaces on one state directory', () => {
  it('report each other and leave each other alone while both live', async ({ area }) => {
    const inside = await area.readyHost({ through: UNSHARE });
    await inside.ask({ do: 'spawn', request: SLEEPER });
    const [insideOwner = ''] = area.owners();
    const others = area.tree();
    expect(others.length).toBeGreaterThan(0);
    const before = journals(area);

    const outside = createSupervisor({ stateDir: area.stateDir, guardian: true, ladder: LADDER });
    try {
      const report = await outside.start();
      expect(report).toMatchObject({ recovered: [], orphans: [], forgotten: 0 });
      expect(report.unproven).toMatchObject([{ reason: expect.stringContaining('elsewhere') }]);
      expect(report.unproven[0]?.reason).toContain(insideOwner);
      const child = outside.spawn({ ...SLEEPER, env: area.env });
      await child.started;

      const { report: seen } = await inside.ask({ do: 'sweep' });
      expect(seen).toMatchObject({ recovered: [], orphans: [] });
      expect((seen as StartReport).unproven).toMatchObject([
        { reason: expect.stringContaining('elsewhere') },
      ]);
      expect(child.exitCode).toBeNull();
      expect(others.filter(isAlive)).toEqual(others);
      for (const [name, content] of before) expect(journals(area).get(name)).toBe(content);

      // The whole namespace dies with its first process, and its guardian: nobody listens any more.
      inside.kill('SIGKILL');
      await inside.exited;
      await eventually(() => !others.some(isAlive));
      expect((await outside.sweep()).recovered).toEqual([insideOwner]);
      expect(area.owners()).not.toContain(insideOwner);
    } finally {
      await outside.stop();
    }
  });
});

describe.runIf(CAN_CONTAIN)('two worker threads with a supervisor each', () => {
  it('one is terminated: its processes end, the other goes on and loses nothing', async ({
    area,
  }) => {
    const host = area.host({ script: 'contained-workers.ts' });
    await host.next(({ event }) => event === 'first');
    await host.next(({ event }) => event === 'second');
    const both = area.tree();
    expect(both.map(roleOf).sort()).toEqual(['first', 'second']);
    expect(area.owners()).toHaveLength(2);

    await host.ask({ do: 'stop' });
    const first = both.filter((row) => roleOf(row) === 'first');
    const second = both.filter((row) => roleOf(row) === 'second');
    await eventually(() => !first.some(isAlive), {
      timeoutMs: GRACE_MS,
      what: 'its guardian acts',
    });
    expect(await host.ask({ do: 'sweep' })).toMatchObject({ recovered: [], orphans: [] });
    expect(second.filter(isAlive)).toEqual(second);
    expect(host.child.exitCode).toBeNull();

    host.kill('SIGKILL');
    expect(await area.survivors(GRACE_MS)).toEqual([]);
  });
});

describe.runIf(CAN_CONTAIN)('two supervisors in one host', () => {
  it('sweep past each other, and one stop leaves the other’s processes', async ({ area }) => {
    const [one, two] = [1, 2].map(() =>
      createSupervisor({ stateDir: area.stateDir, guardian: true, ladder: LADDER }),
    ) as [ReturnType<typeof createSupervisor>, ReturnType<typeof createSupervisor>];
    await Promise.all([one.start(), two.start()]);
    const child = two.spawn({ ...SLEEPER, env: area.env });
    await child.started;
    expect(await one.sweep()).toMatchObject({ recovered: [], orphans: [], unproven: [] });
    await one.stop();
    expect(child.exitCode).toBeNull();
    expect(area.guardians()).toHaveLength(1);
    await two.stop();
    expect(area.tree()).toEqual([]);
    expect(area.files()).toEqual([]);
  });
});
