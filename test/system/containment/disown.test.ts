// A process that its host has let go: nobody ends it, whatever happens to the host.
import { readFileSync } from 'node:fs';
import { describe, expect } from 'vitest';
import {
  type Area,
  CAN_CONTAIN,
  type ContainedHost,
  endAndConfirm,
  GRACE_MS,
  type HostOptions,
  it,
  SLEEPER,
  spawned,
} from '../../../kit/containment.ts';
import { endByIdentity, eventually, isAlive, type ProcessRow } from '../../../kit/process-table.ts';
import type { SpawnRequest } from '../../../src/index.ts';

/** A leader, a child in a session of its own, and one without an environment. */
const FAMILY: SpawnRequest = {
  command: 'bash',
  args: [
    '-c',
    'setsid sleep 301 & env -i "$0=$1" setsid sleep 302 & sleep 303 & echo; exec sleep 304',
  ],
  kind: 'tool',
};
const MEMBERS = ['sleep 301', 'sleep 302', 'sleep 303', 'sleep 304'];

function family(area: Area): SpawnRequest {
  const [marker = []] = Object.entries(area.env).slice(-1);
  return { ...FAMILY, args: [...(FAMILY.args ?? []), ...marker] };
}

const alive = (area: Area): string[] =>
  area
    .tree()
    .map(({ args }) => args.join(' '))
    .sort();

async function standing(area: Area): Promise<ProcessRow[]> {
  await eventually(() => MEMBERS.every((member) => alive(area).includes(member)));
  return area.tree();
}

/** Starts two families, and lets one of them go. */
async function letGo(area: Area, host: ContainedHost) {
  const { id, pid } = await spawned(host, family(area));
  const rows = await standing(area);
  expect(await host.ask({ do: 'disown', id })).toMatchObject({ disowned: true });
  const { pid: other } = await spawned(host, SLEEPER);
  return { id, pid, other, rows };
}

const WAYS: readonly (readonly [string, HostOptions])[] = [
  ['with tags', {}],
  ['without tags', { options: { rlimitTag: false } }],
  [
    'with a guardian that is no shell, without tags',
    {
      options: { rlimitTag: false },
      args: ['no-shell'],
    },
  ],
];

describe.runIf(CAN_CONTAIN)('a process that was let go', () => {
  it.for(WAYS)(
    'lives on when its host is killed, and no other does: %s',
    async ([, options], { area }) => {
      const host = await area.readyHost(options);
      const { other, rows } = await letGo(area, host);
      host.kill('SIGKILL');
      await eventually(() => area.guardians().length === 0, { timeoutMs: GRACE_MS });
      expect(area.tree().some(({ pid }) => pid === other)).toBe(false);
      expect(alive(area)).toEqual(MEMBERS);
      // The next host names it, and leaves it alone; when it is dead, nothing is left of it.
      const heir = await area.readyHost(options);
      const { report } = await heir.ask({ do: 'start' });
      expect(report).toMatchObject({
        ended: [],
        orphans: [],
        kept: [{ disowned: true, kind: 'tool' }],
      });
      expect(alive(area)).toEqual(MEMBERS);
      await endAndConfirm(rows);
      const swept = await heir.ask({ do: 'sweep' });
      expect(swept['report']).toMatchObject({ kept: [], orphans: [] });
      expect(area.files().filter((name) => name.startsWith('kept-'))).toEqual([]);
    },
  );

  it.for(WAYS)(
    'lives on when host and guardian are killed at once: %s',
    async ([, options], { area }) => {
      const host = await area.readyHost(options);
      const { other, rows } = await letGo(area, host);
      const guardians = area.guardians();
      host.kill('SIGSTOP');
      endByIdentity([...guardians, host.key]);
      await host.exited;
      await eventually(() => !guardians.some(isAlive));
      const heir = await area.readyHost(options);
      const { report } = await heir.ask({ do: 'start' });
      expect((report as { orphans: { pid: number }[] }).orphans.map(({ pid }) => pid)).toEqual([
        other,
      ]);
      expect(alive(area)).toEqual(MEMBERS);
      await endAndConfirm(rows);
    },
  );

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
