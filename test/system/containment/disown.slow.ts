// A process that its host has let go: hosts without tags or without a shell, and what hosts may do.
import { readFileSync } from 'node:fs';
import { describe, expect } from 'vitest';
import {
  CAN_CONTAIN,
  endAndConfirm,
  GRACE_MS,
  it,
  SLEEPER,
  spawned,
} from '../../../kit/containment.ts';
import { eventually, isAlive } from '../../../kit/process-table.ts';
import { alive, describeHostDeath, family, letGo, MEMBERS, standing, WAYS } from './disown.ts';

describeHostDeath(WAYS.slice(1));

describe.runIf(CAN_CONTAIN)('a process that was let go', () => {
  it('holds no slot, is listed, and is ended by nothing that its host does', async ({ area }) => {
    const host = await area.readyHost({ options: { pool: { concurrency: 1 } } });
    const request = { ...family(area), kind: 'agent', sessionId: 's' };
    const { id, pid } = await spawned(host, request);
    const rows = await standing(area);
    expect(await host.ask({ do: 'disown', id })).toMatchObject({ disowned: true });
    const { report } = await host.ask({ do: 'exited', id });
    expect(report).toMatchObject({
      cause: 'disowned',
      intentional: true,
      code: null,
      signal: null,
    });
    expect((await host.ask({ do: 'list' }))['report']).toMatchObject([
      { id, pid, state: 'disowned' },
    ]);
    // The only slot is free.
    const next = await spawned(host, { ...SLEEPER, kind: 'agent' });
    expect(await host.ask({ do: 'disown', id })).toMatchObject({ disowned: false });
    expect(await host.ask({ do: 'kill', id })).toMatchObject({ sent: false });
    await host.ask({ do: 'terminate', id });
    await host.ask({ do: 'reap', sessionId: 's' });
    await host.ask({ do: 'sweep' });
    await host.ask({ do: 'terminate', id: next.id });
    expect(alive(area)).toEqual(MEMBERS);
    await host.ask({ do: 'stop' });
    expect(alive(area)).toEqual(MEMBERS);
    await endAndConfirm(rows);
  });

  it('is listed as long as anything of its tree lives', async ({ area }) => {
    const host = await area.readyHost();
    const { id, pid } = await spawned(host, family(area));
    const rows = await standing(area);
    await host.ask({ do: 'disown', id });
    await endAndConfirm(rows.filter((row) => row.pid === pid));
    await host.ask({ do: 'sweep' });
    expect((await host.ask({ do: 'list' }))['report']).toMatchObject([{ id, state: 'disowned' }]);
    await endAndConfirm(rows.filter((row) => row.pid !== pid));
    await host.ask({ do: 'sweep' });
    await host.listsNothing();
    await host.ask({ do: 'sweep' });
    expect(host.messages.filter(({ event }) => event === 'warning')).toEqual([]);
  });

  it('bears tags that say so, and so does what it starts', async ({ area }) => {
    const host = await area.readyHost();
    const { rows } = await letGo(area, host);
    for (const { pid } of rows)
      expect(readFileSync(`/proc/${pid}/limits`, 'latin1')).toMatch(
        /^Max file locks +[1-9][02468]\d{17} /m,
      );
    await endAndConfirm(rows);
  });

  it('runs no cleanup', async ({ area }) => {
    const host = await area.readyHost();
    const cleanup = { name: 'never', command: 'touch', args: [`${area.folder}/cleaned`] };
    const { id } = await spawned(host, { ...SLEEPER, cleanup });
    await host.ask({ do: 'disown', id });
    const rows = area.tree();
    host.kill('SIGKILL');
    await eventually(() => area.guardians().length === 0, { timeoutMs: GRACE_MS });
    expect(rows.map(isAlive)).toEqual(rows.map(() => true));
    expect(() => readFileSync(`${area.folder}/cleaned`)).toThrow();
    await endAndConfirm(rows);
  });
});
