// The guardian where there is no POSIX shell, on real processes of a system that has one.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import {
  type Area,
  CAN_CONTAIN,
  CONTAINMENT_MARKER,
  type ContainedHost,
  endAndConfirm,
  GRACE_MS,
  it,
  LADDER,
  SLEEPER,
  TREE_ROLES,
} from '../../../kit/containment.ts';
import {
  environmentOf,
  eventually,
  isAlive,
  type ProcessRow,
  readRow,
} from '../../../kit/process-table.ts';
import { GUARDIAN_NAME } from '../../../src/os/guardian-name.ts';

const NO_SHELL = { args: ['no-shell'] };
const SCRIPT = join(import.meta.dirname, '../../../src/containment/guardian-process.ts');
// Nobody else's, or the guardians of two test files would end each other's processes.
const OWNER = `OwnerOfThisTest${process.pid}`;

/** Starts a command where /bin/sh is not to be seen, nor anything beside it. */
const THROUGH_NO_SHELL = [
  ...['unshare', '--mount', '--map-root-user', 'sh', '-c'],
  ...['mount -t tmpfs x /usr/bin && [ ! -e /bin/sh ] && exec "$@"', 'sh'],
];
const [UNSHARE = '', ...UNSHARE_ARGS] = THROUGH_NO_SHELL;
const CAN_HIDE_SHELL =
  CAN_CONTAIN && spawnSync(UNSHARE, [...UNSHARE_ARGS, process.execPath, '--version']).status === 0;
if (!CAN_HIDE_SHELL) console.warn('no private mount namespace here: /bin/sh cannot be hidden');

async function guardianOf(host: ContainedHost): Promise<ProcessRow> {
  await host.ask({ do: 'start' });
  const [guardian, ...others] = host.area.guardians();
  if (guardian === undefined || others.length > 0) throw new Error('not one guardian');
  expect(guardian.args.slice(0, 2)).toEqual([process.execPath, '-e']);
  return guardian;
}

describe.runIf(CAN_CONTAIN)('a host without a shell', () => {
  it('dies by SIGKILL: nothing survives, nor does the guardian', async ({ area }) => {
    const host = await area.readyHost(NO_SHELL);
    await host.growTree();
    const guardian = await guardianOf(host);
    host.kill('SIGKILL');
    await host.exited;
    expect(await area.survivors(GRACE_MS)).toEqual([]);
    await eventually(() => !isAlive(guardian), { timeoutMs: GRACE_MS, what: 'it goes too' });
  });

  it.runIf(CAN_HIDE_SHELL)(
    'finds that there is none, and dies: nothing survives',
    async ({ area }) => {
      const host = await area.readyHost({ through: THROUGH_NO_SHELL });
      await guardianOf(host);
      const args = ['-e', 'console.log("ready"); setTimeout(() => {}, 300_000)'];
      const request = { command: process.execPath, args, kind: 'tool' };
      expect(await host.ask({ do: 'spawn', request })).toMatchObject({ done: 'spawn' });
      expect(area.tree()).toHaveLength(1);
      host.kill('SIGKILL');
      await host.exited;
      expect(await area.survivors(GRACE_MS)).toEqual([]);
    },
  );

  it('whose guardian dies with it: they survive (control)', async ({ area }) => {
    const host = await area.readyHost(NO_SHELL);
    const tree = await host.growTree();
    const guardian = await guardianOf(host);
    host.kill('SIGSTOP');
    await endAndConfirm([guardian]);
    host.kill('SIGKILL');
    await host.exited;
    const left = (await area.survivors(LADDER.termMs + LADDER.killMs)).sort();
    await endAndConfirm(tree);
    expect(left).toEqual([...TREE_ROLES]);
  });

  it('disarms it by a clean stop', async ({ area }) => {
    const host = await area.readyHost(NO_SHELL);
    const guardian = await guardianOf(host);
    const args = ['-c', 'setsid sleep 300 >/dev/null 2>&1 </dev/null & echo ready'];
    const request = { command: 'sh', args, kind: 'tool', leftovers: 'keep' } as const;
    await host.ask({ do: 'spawn', request });
    await host.listsNothing();
    const kept = area.tree();
    expect(kept).toHaveLength(1);
    await host.ask({ do: 'stop' });
    await eventually(() => !isAlive(guardian), { timeoutMs: 1000, what: 'it goes at once' });
    expect(kept.map(isAlive)).toEqual([true]);
    await endAndConfirm(kept);
  });

  it('starts it again with a warning when it is killed, and tells it the old groups', async ({
    area,
  }) => {
    const host = await area.readyHost(NO_SHELL);
    const first = await guardianOf(host);
    // No cookie: only the registration leads to it.
    const args = ['-c', `echo ready; exec env -i ${CONTAINMENT_MARKER}=${area.marker} sleep 300`];
    await host.ask({ do: 'spawn', request: { command: 'sh', args } });
    await endAndConfirm([first]);
    await host.next(({ event, code }) => event === 'warning' && code === 'GUARDIAN');
    const second = await eventually(() => area.guardians()[0]);
    expect(second.pid).not.toBe(first.pid);
    // The host starts it and tells it of its groups in one tick; after its answer, that tick is over.
    await host.ask({ do: 'list' });
    host.kill('SIGKILL');
    expect(await area.survivors(GRACE_MS)).toEqual([]);
  });

  it('is not kept alive by it', async ({ area }) => {
    const host = area.host({ ...NO_SHELL, script: 'contained-idle.ts' });
    await host.next(({ event }) => event === 'started');
    const owners = area.owners();
    expect(await host.exited).toEqual({ code: 0, signal: null });
    await eventually(() => area.guardians(owners).length === 0);
  });

  it('has one that leads its own session, carries no cookie and ignores polite signals', async ({
    area,
  }) => {
    const host = await area.readyHost(NO_SHELL);
    const guardian = await guardianOf(host);
    expect(guardian).toMatchObject({ pgid: guardian.pid, sid: guardian.pid });
    const names = environmentOf(guardian).map((line) => line.split('=')[0]);
    expect(names).not.toContain('AGENT_SUPERVISOR_COOKIE');
    for (const signal of ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM'] as const)
      if (isAlive(guardian)) process.kill(guardian.pid, signal);
    await host.ask({ do: 'spawn', request: SLEEPER });
    expect(isAlive(guardian)).toBe(true);
    host.kill('SIGKILL');
    expect(await area.survivors(GRACE_MS)).toEqual([]);
  });
});

/** The guardian's process, fed by hand. */
class FedGuardian {
  readonly child: ChildProcess;

  constructor() {
    const args = [SCRIPT, GUARDIAN_NAME, OWNER, '300', '1000', String(process.pid)];
    this.child = spawn(process.execPath, args, {
      detached: true,
      env: {},
      stdio: ['pipe', 'pipe', 'inherit'],
    });
  }

  async ready(): Promise<this> {
    if (this.child.stdout)
      expect(String((await once(this.child.stdout, 'data'))[0])).toBe(`ready ${this.child.pid}\n`);
    return this;
  }

  tell(text: string): void {
    this.child.stdin?.write(text);
  }

  /** The host is gone. */
  async hangUp(): Promise<number | null> {
    const exit = once(this.child, 'exit');
    this.child.stdin?.end();
    return (await exit)[0];
  }
}

/** A process of the test's own in a session of its own. */
function started(area: Area, cookie?: string): ProcessRow {
  const { pid = 0 } = spawn('sleep', ['300'], {
    detached: true,
    stdio: 'ignore',
    env: { ...area.env, ...(cookie === undefined ? {} : { AGENT_SUPERVISOR_COOKIE: cookie }) },
  });
  const row = readRow(pid);
  if (row === undefined) throw new Error('it did not start');
  return row;
}

describe.runIf(CAN_CONTAIN)('its guardian', () => {
  it('ends whom a registration or a cookie proves, and spares all others', async ({ area }) => {
    const guardian = await new FedGuardian().ready();
    const ours = [started(area), started(area, `${OWNER}.1`), started(area, `A.1/${OWNER}.2/B.3`)];
    const recycled = area.canary();
    const forgotten = area.canary();
    const torn = area.canary();
    const kept = area.canary({ AGENT_SUPERVISOR_COOKIE: `${OWNER}.1.kept` });
    const strange = area.canary({ AGENT_SUPERVISOR_COOKIE: `Another${OWNER}.1` });
    guardian.tell(`+ ${ours[0]?.pid} ${ours[0]?.startTime}\n`);
    guardian.tell(`+ ${recycled.pid} ${BigInt(recycled.startTime) - 1n}\n`);
    guardian.tell(`+ ${forgotten.pid} ${forgotten.startTime}\n- ${forgotten.pid}\n`);
    guardian.tell('+ 1 0\n+ 0\n+ -1 0\n+ x y\n\nnoise\n');
    guardian.tell(`+ ${torn.pid} ${torn.startTime}`);

    expect(await guardian.hangUp()).toBe(0);
    expect(ours.filter(isAlive)).toEqual([]);
    expect([recycled, forgotten, torn, kept, strange].map(isAlive)).toEqual(Array(5).fill(true));
  });

  it('does so for a host that is gone before it was told of the guard', async ({ area }) => {
    const guardian = new FedGuardian();
    const ours = started(area);
    guardian.tell(`+ ${ours.pid} ${ours.startTime}\n`);
    guardian.child.stdout?.destroy();
    expect(await guardian.hangUp()).toBe(0);
    expect(isAlive(ours)).toBe(false);
  });

  it('ends nobody when it is disarmed', async ({ area }) => {
    const guardian = await new FedGuardian().ready();
    const ours = started(area, `${OWNER}.1`);
    guardian.tell(`+ ${ours.pid} ${ours.startTime}\ndisarm\n`);
    expect((await once(guardian.child, 'exit'))[0]).toBe(0);
    expect(isAlive(ours)).toBe(true);
    await endAndConfirm([ours]);
  });
});
