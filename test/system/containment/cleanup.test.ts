// What a process leaves outside its tree is removed, whoever is left to do it.
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import {
  type Area,
  CAN_CONTAIN,
  type ContainedHost,
  GRACE_MS,
  it,
  SLEEPER,
  spawned,
} from '../../../kit/containment.ts';
import { DEAD_OWNER, forgeJournal, recordOf } from '../../../kit/forged-journal.ts';
import { endByIdentity, eventually, isAlive, readRow } from '../../../kit/process-table.ts';
import type { SpawnRequest, SupervisorOptions } from '../../../src/index.ts';

const noted = (area: Area): string => join(area.folder, 'cleaned');
const lines = (area: Area): string[] =>
  existsSync(noted(area)) ? readFileSync(noted(area), 'utf8').trim().split('\n') : [];

/** A command that notes its arguments, and how many of the test's sleepers are alive. */
const noting = (area: Area, ...args: readonly string[]) => ({
  command: 'sh',
  args: ['-c', 'file=$1; shift; printf "%s\\n" "$*" >> "$file"', 'sh', noted(area), ...args],
});
const cleaned = (area: Area, request: SpawnRequest, ...args: readonly string[]): SpawnRequest => ({
  ...request,
  cleanup: { name: 'note', ...noting(area, ...args) },
});

/** Ends a host together with its guardian. */
async function abandon(area: Area, host: ContainedHost): Promise<void> {
  const guardians = area.guardians();
  expect(guardians).toHaveLength(1);
  host.kill('SIGSTOP');
  await eventually(() => /^[tT]/.test(statOf(host)));
  endByIdentity([...guardians, host.key]);
  await host.exited;
  await eventually(() => !guardians.some(isAlive));
}

const statOf = (host: ContainedHost): string =>
  readFileSync(`/proc/${host.child.pid}/stat`, 'utf8').split(') ')[1] ?? '';

const warnings = ({ messages }: ContainedHost) =>
  messages.filter(({ event, code }) => event === 'warning' && code === 'CLEANUP');

describe.runIf(CAN_CONTAIN)('a cleanup', () => {
  it('is run once by the host when the tree is dead, and the report says so', async ({ area }) => {
    const host = await area.readyHost();
    const { id, pid } = await spawned(host, cleaned(area, SLEEPER, 'by the host'));
    expect(lines(area)).toEqual([]);
    await host.ask({ do: 'terminate', id });
    expect(readRow(pid)).toBeUndefined();
    const { report } = await host.ask({ do: 'exited', id });
    expect(report).toMatchObject({ cause: 'terminated', cleanup: 'done' });
    expect(lines(area)).toEqual(['by the host']);
    // The control: its guardian has nothing to do any more.
    host.kill('SIGKILL');
    expect(await area.survivors(GRACE_MS)).toEqual([]);
    await eventually(() => area.guardians().length === 0, { timeoutMs: GRACE_MS });
    expect(lines(area)).toEqual(['by the host']);
  });

  it('that fails or takes too long is told', async ({ area }) => {
    const host = await area.readyHost();
    for (const [cleanup, why] of [
      [
        { command: 'sh', args: ['-c', 'echo no such container >&2; exit 3'] },
        'exit code 3: no such',
      ],
      [{ command: 'no-such-program' }, 'no-such-program'],
      [{ command: 'sleep', args: ['300'], timeoutMs: 100 }, 'it took too long'],
    ] as const) {
      const { id } = await spawned(host, { ...SLEEPER, cleanup: { name: 'fails', ...cleanup } });
      await host.ask({ do: 'terminate', id });
      const { report } = await host.ask({ do: 'exited', id });
      expect(report).toMatchObject({ cleanup: 'failed' });
      expect(warnings(host).at(-1)?.['message']).toContain(why);
    }
    expect(await area.survivors(GRACE_MS)).toEqual([]);
  });

  it('is finished by a host that stops', async ({ area }) => {
    const host = await area.readyHost();
    const slow = `sleep 1; echo done >> ${noted(area)}`;
    const cleanup = { name: 'slow', command: 'sh', args: ['-c', slow] };
    await spawned(host, { ...SLEEPER, cleanup });
    await host.ask({ do: 'stop' });
    expect(lines(area)).toEqual(['done']);
  });

  it('is run by the guardian of a host that was killed, with its environment', async ({ area }) => {
    const host = await area.readyHost();
    const args = ["it's", 'two\nlines', ' Á\u0081 ', '', '$HOME `x` "q" \\'];
    const env = { ...process.env, ...area.env, TOLD: "a 'secret'\nvalue" } as Record<
      string,
      string
    >;
    const told = {
      name: 'told',
      command: 'sh',
      args: ['-c', `printf %s "$TOLD" >> ${noted(area)}2`],
    };
    const { pid } = await spawned(host, cleaned(area, { ...SLEEPER, env }, ...args));
    await spawned(host, { ...SLEEPER, env, cleanup: told });
    const { id } = await spawned(host, cleaned(area, SLEEPER, 'gone before'));
    await host.ask({ do: 'terminate', id });
    expect(lines(area)).toEqual(['gone before']);
    host.kill('SIGKILL');
    await eventually(() => lines(area).length > 1 && existsSync(`${noted(area)}2`), {
      timeoutMs: GRACE_MS,
    });
    await eventually(() => area.guardians().length === 0, { timeoutMs: GRACE_MS });
    expect(readRow(pid)).toBeUndefined();
    expect(readFileSync(noted(area), 'utf8')).toBe(`gone before\n${args.join(' ')}\n`);
    expect(readFileSync(`${noted(area)}2`, 'utf8')).toBe(env['TOLD']);
  });

  it('is run by a guardian that is no shell', async ({ area }) => {
    const host = await area.readyHost({ args: ['no-shell'] });
    await spawned(host, cleaned(area, SLEEPER, 'no shell'));
    const stuck = { name: 'stuck', command: 'sleep', args: ['300'], timeoutMs: 200 };
    await spawned(host, { ...SLEEPER, cleanup: stuck });
    host.kill('SIGKILL');
    await eventually(() => lines(area).length === 1, { timeoutMs: GRACE_MS });
    expect(lines(area)).toEqual(['no shell']);
    expect(await area.survivors(GRACE_MS)).toEqual([]);
  });
});

describe.runIf(CAN_CONTAIN)('a cleanup of a host that died with its guardian', () => {
  const heirOf = (area: Area, cleanups: SupervisorOptions['cleanups']) =>
    area.readyHost({ options: { ...(cleanups && { cleanups }) } });

  it('is run by the next host that has registered it, and stands on disk by its name alone', async ({
    area,
  }) => {
    const host = await area.readyHost();
    const { pid } = await spawned(host, cleaned(area, SLEEPER, 'secret argument'));
    const [journal] = area.files().filter((name) => name.startsWith('host-'));
    const text = readFileSync(join(area.stateDir, journal ?? ''), 'utf8');
    expect(text).toContain('"cleanup":"note"');
    expect(text).not.toContain('secret argument');
    await abandon(area, host);
    const heir = await heirOf(area, { note: noting(area, 'by the heir') });
    await heir.ask({ do: 'start' });
    expect(readRow(pid)).toBeUndefined();
    expect(lines(area)).toEqual(['by the heir']);
    expect(warnings(heir)).toEqual([]);
    // Once: its journal is gone.
    await heir.ask({ do: 'sweep' });
    expect(lines(area)).toEqual(['by the heir']);
  });

  it('is not run by one that has not, and that is told (the control)', async ({ area }) => {
    const host = await area.readyHost();
    await spawned(host, cleaned(area, SLEEPER, 'x'));
    await abandon(area, host);
    const heir = await heirOf(area, undefined);
    await heir.ask({ do: 'start' });
    expect(lines(area)).toEqual([]);
    expect(warnings(heir).map(({ message }) => message)).toEqual([
      expect.stringContaining('no cleanups["note"]'),
    ]);
  });

  it.for(['constructor', '__proto__', 'toString', 'sh', '/bin/sh', 'note; touch x', ''])(
    'runs nothing for a forged journal that names "%s"',
    async (cleanup, { area }) => {
      const record = { ...recordOf({ pid: 2 ** 22 - 1, startTime: '1' }), cleanup };
      const forged = { ...record, command: 'touch', args: [noted(area)] };
      forgeJournal(area.stateDir, { records: [forged as never] });
      // Lines that nobody understands are skipped.
      const [journal = ''] = area.files().filter((name) => name.includes(DEAD_OWNER.instance));
      appendFileSync(
        join(area.stateDir, journal),
        `${JSON.stringify({ add: forged, cleanup: { command: 'touch', args: [noted(area)] } })}\n`,
      );
      const heir = await heirOf(area, { note: noting(area, 'registered') });
      await heir.ask({ do: 'start' });
      expect(existsSync(noted(area))).toBe(false);
      expect(area.tree().filter(({ args }) => args[0] === 'touch')).toEqual([]);
    },
  );
});
