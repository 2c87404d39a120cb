// A process that its host has let go: nobody ends it, whatever happens to the host.
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
export const MEMBERS = ['sleep 301', 'sleep 302', 'sleep 303', 'sleep 304'];

export function family(area: Area): SpawnRequest {
  const [marker = []] = Object.entries(area.env).slice(-1);
  return { ...FAMILY, args: [...(FAMILY.args ?? []), ...marker] };
}

export const alive = (area: Area): string[] =>
  area
    .tree()
    .map(({ args }) => args.join(' '))
    .sort();

export async function standing(area: Area): Promise<ProcessRow[]> {
  await eventually(() => MEMBERS.every((member) => alive(area).includes(member)));
  return area.tree();
}

/** Starts two families, and lets one of them go. */
export async function letGo(area: Area, host: ContainedHost) {
  const { id, pid } = await spawned(host, family(area));
  const rows = await standing(area);
  expect(await host.ask({ do: 'disown', id })).toMatchObject({ disowned: true });
  const { pid: other } = await spawned(host, SLEEPER);
  return { id, pid, other, rows };
}

export const WAYS: readonly (readonly [string, HostOptions])[] = [
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

/** Tests what was let go through the death of its host, with each of these kinds of hosts. */
export function describeHostDeath(ways: typeof WAYS): void {
  describe.runIf(CAN_CONTAIN)('a process that was let go', () => {
    it.for(ways)(
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

    it.for(ways)(
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
  });
}
