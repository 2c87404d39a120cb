// One version in the place of another, and launchers that die at it: never two daemons at once.
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, vi } from 'vitest';
import { CAN_CONTAIN } from '../../../kit/containment.ts';
import { type DaemonRig, it, PATIENCE, TIMEOUT_MS } from '../../../kit/daemons.ts';
import { FakeOs, UNKILLABLE } from '../../../kit/fake-os.ts';
import { eventually, isAlive, readRow } from '../../../kit/process-table.ts';
import { endDaemon, endDaemonTree, treeOfDaemon } from '../../../src/daemon/handover.ts';
import type { DaemonOptions } from '../../../src/daemon/index.ts';
import { checkDaemonOptions } from '../../../src/daemon/schema.ts';
import { launchDaemon } from '../../../src/daemon/start.ts';
import type { LaunchRequest } from '../../../src/os/os.ts';
import { systemOs } from '../../../src/os/system.ts';
import { PID_FILE_VERSION, type PidFile } from '../../../src/store/pid-record.ts';

vi.setConfig({ testTimeout: TIMEOUT_MS });

const versioned = (rig: DaemonRig, version: string, how: object = {}) =>
  rig.options({ version, ...how }, { version, timeoutMs: PATIENCE.timeoutMs });

/** Everything that the daemons have written down, in order, without their pids. */
const story = ({ diary }: DaemonRig) =>
  readFileSync(diary, 'utf8')
    .split('\n')
    .filter((line) => !line.startsWith('starts'))
    .map((line) => line.replace(/ \d+/, ''));

describe.runIf(CAN_CONTAIN)('a handover', () => {
  it('ends the old version, and the new one begins when that is dead', async ({ rig }) => {
    const old = await rig.ensured(versioned(rig, '1', { agent: true, hookMs: 300 }));
    const agent = await eventually(() =>
      rig.area.tree().find(({ args }) => args.join(' ') === 'sleep 120'),
    );
    const next = await rig.ensured(versioned(rig, '2'));
    expect(next).toEqual({ pid: expect.any(Number), started: true, version: '2' });
    expect(next.pid).not.toBe(old.pid);
    // The old one could do its own part first.
    expect(story(rig)).toEqual(['listens 1', 'hook 1', 'listens 2', '']);
    expect(isAlive(agent)).toBe(false);
    expect(rig.file()).toMatchObject({ pid: next.pid, daemonVersion: '2' });
    // Whoever wants no version in particular is content.
    expect(await rig.ensured()).toEqual({ ...next, started: false });
    await rig.endDaemon();
  });

  it('ends an old version that does not want to', async ({ rig }) => {
    const how = { ignores: ['SIGTERM', 'SIGHUP', 'SIGINT'], run: false };
    const old = await rig.ensured(versioned(rig, '1', how));
    expect(await rig.ensured(versioned(rig, '2'))).toMatchObject({ started: true, version: '2' });
    expect(readRow(old.pid)).toBeUndefined();
    await rig.endDaemon();
  });

  it('happens once for many at once', async ({ rig }) => {
    await rig.ensured(versioned(rig, '1'));
    const launchers = Array.from({ length: 10 }, () => rig.start(versioned(rig, '2')));
    const results = await Promise.all(launchers.map(({ result }) => result));
    expect(results.filter(({ report }) => report?.version === '2')).toHaveLength(10);
    expect(results.filter(({ report }) => report?.started)).toHaveLength(1);
    expect(story(rig)).toEqual(['listens 1', 'listens 2', '']);
    await Promise.all(launchers.map(({ child }) => child.exitCode ?? once(child, 'exit')));
    await rig.endDaemon();
  });

  it('leaves never two, whatever versions are asked for and whoever is killed', async ({ rig }) => {
    const most = watchDaemons(rig);
    const launchers = [];
    for (let round = 0; round < 24; round++) {
      const launcher = rig.start(versioned(rig, String(1 + (round % 2))));
      launchers.push(launcher);
      await delay(Math.random() * 150);
      if (round % 3 === 2) launchers[round - 1]?.child.kill('SIGKILL');
    }
    await Promise.all(
      launchers.map(({ child }) => child.exitCode ?? child.signalCode ?? once(child, 'exit')),
    );
    const last = await rig.ensured(versioned(rig, '3'));
    expect(last).toMatchObject({ version: '3' });
    expect(most()).toBe(1);
    expect(rig.daemons().map(({ pid }) => pid)).toEqual([last.pid]);
    await rig.endDaemon();
  });

  it('is refused to what belongs to the old version', async ({ rig }) => {
    const cookie = `${crypto.randomUUID()}.daemon.kept`;
    const canary = rig.area.canary({ AGENT_SUPERVISOR_COOKIE: cookie });
    const { machine, bootId, pidNamespace } = systemOs().identify();
    const { pid, startTime } = canary;
    const identity = { version: PID_FILE_VERSION, machine, pid, startTime, bootId, pidNamespace };
    writeFileSync(rig.pidFile, JSON.stringify({ ...identity, daemonVersion: '1', cookie }));
    const env = { AGENT_SUPERVISOR_COOKIE: `${cookie}/other.r1` };
    const result = await rig.ensure(versioned(rig, '2'), { env });
    expect(result).toMatchObject({ code: 'ALREADY_RUNNING', data: { pid, version: '1' } });
    expect(result.message).toContain('Call from outside of it.');
    expect(isAlive(canary)).toBe(true);
  });

  it('is over for a daemon that says it is another version than was asked for', async ({ rig }) => {
    const options = rig.options({ run: { version: 'mine' } }, { version: 'yours' });
    const result = await rig.ensure(options);
    expect(result).toMatchObject({ code: 'SPAWN_FAILED', data: { version: 'mine' } });
    await eventually(() => rig.area.tree().length === 0);
    expect(rig.file()).toBeUndefined();
  });

  it('finds what a launcher has started that died before it could write it down', async ({
    rig,
  }) => {
    // What is left then: the lock of the dead, and a daemon that carries its nonce.
    const nonce = crypto.randomUUID();
    const orphan = rig.area.canary({ AGENT_SUPERVISOR_COOKIE: `${nonce}.daemon.kept` });
    const stranger = rig.area.canary({
      AGENT_SUPERVISOR_COOKIE: `${crypto.randomUUID()}.daemon.kept`,
    });
    const dead = { version: 1, nonce, ...systemOs().identify(), startTime: '1' };
    writeFileSync(`${rig.pidFile}.lock`, JSON.stringify(dead));
    expect(await rig.ensured()).toMatchObject({ started: true });
    expect(isAlive(orphan)).toBe(false);
    expect(isAlive(stranger)).toBe(true);
    await rig.endDaemon();
  });

  it('goes on with a daemon whose launcher has died before it was ready', async ({ rig }) => {
    const options = rig.options(
      { startMs: 3000, says: 'here I am' },
      { ready: { stdout: 'here I am' } },
    );
    const launcher = rig.start(options);
    await eventually(() => rig.file() !== undefined, PATIENCE);
    await rig.kill(launcher.child.pid ?? 0);
    const [daemon] = rig.daemons();
    expect(await rig.ensured(options)).toEqual({ pid: daemon?.pid, started: false });
    // Not before it had said so, although it had taken its pid file long before.
    expect(rig.file()).toMatchObject({ pid: daemon?.pid, claimed: true });
    expect(rig.file()).not.toHaveProperty('starting');
    expect(readFileSync(join(rig.folder, 'test.log'), 'utf8')).toContain('here I am');
    rig.signalDaemon('SIGTERM');
    await eventually(() => rig.file() === undefined, PATIENCE);
  });
});

describe.runIf(CAN_CONTAIN)('a launcher that is held up between the start and the pid file', () => {
  it.for([
    ['its own daemon, which was faster', true],
    ['a stranger', false],
  ] as const)('knows %s', async ([, isOwn], { rig }) => {
    const nonce = crypto.randomUUID();
    const cookie = isOwn ? `${nonce}.daemon.kept` : undefined;
    const file = { version: PID_FILE_VERSION, ...systemOs().identify(), cookie, claimed: true };
    const system = systemOs();
    // The machine is busy: until it goes on here, the other has been there.
    const os = {
      ...system,
      launch: (request: LaunchRequest) => {
        const launched = system.launch(request);
        writeFileSync(rig.pidFile, JSON.stringify(file));
        return launched;
      },
    };
    const env = rig.area.env;
    const options = { ...rig.options(), command: 'sleep', args: ['120'], env, ready: { port: 1 } };
    const checked = checkDaemonOptions(options as DaemonOptions);
    const { started, written } = await launchDaemon(checked, { pidFile: rig.pidFile, nonce, os });
    expect(written).toBe(isOwn);
    await endDaemonTree(started.tree, system);
    expect(rig.area.tree()).toEqual([]);
  });
});

/** Counts, as often as it can, how many daemons listen. */
function watchDaemons(rig: DaemonRig): () => number {
  let most = 0;
  const timer = setInterval(() => {
    most = Math.max(most, rig.daemons().length);
  }, 20);
  return () => {
    clearInterval(timer);
    return most;
  };
}

describe('endDaemon', () => {
  const FILE: Omit<PidFile, 'pid'> = {
    version: PID_FILE_VERSION,
    machine: 'fake',
    bootId: 'fake-boot',
    pidNamespace: 'pid:[1]',
  };

  it('asks the daemon alone first, and forces what is left', async ({ expect }) => {
    const os = new FakeOs();
    const daemon = os.add({ on: { SIGTERM: { dieAfterMs: 3000 } } });
    const agent = os.fork(daemon.pid, { pgid: 900, sid: 900, on: { SIGTERM: 'ignore' } });
    const ending = endDaemon({ ...FILE, pid: daemon.pid, startTime: daemon.startTime }, os);
    await os.clock.advance(20_000);
    expect(await ending).toEqual([]);
    expect(os.received(daemon)).toEqual(['SIGTERM']);
    expect(os.received(agent)).toEqual(['SIGTERM', 'SIGKILL']);
    expect(os.alive).toEqual([]);
  });

  it('names who survives', async ({ expect }) => {
    const os = new FakeOs();
    const daemon = os.add({ on: UNKILLABLE });
    const ending = endDaemon({ ...FILE, pid: daemon.pid, startTime: daemon.startTime }, os);
    await os.clock.advance(60_000);
    expect(await ending).toMatchObject([{ pid: daemon.pid }]);
  });

  it('signals nobody who has the number by now', async ({ expect }) => {
    const os = new FakeOs();
    const innocent = os.add();
    const ending = endDaemon({ ...FILE, pid: innocent.pid, startTime: '1' }, os);
    await os.clock.advance(60_000);
    expect(await ending).toEqual([]);
    expect(os.received(innocent)).toEqual([]);
  });

  it('asks nobody politely where there is no such signal', async ({ expect }) => {
    const os = new FakeOs('win32');
    const daemon = os.add();
    const file = {
      ...FILE,
      bootId: '',
      pidNamespace: '',
      pid: daemon.pid,
      startTime: daemon.startTime,
    };
    const ending = endDaemon(file, os);
    await os.clock.advance(60_000);
    expect(await ending).toEqual([]);
    expect(os.log).toContain(`end ${daemon.pid}`);
    expect(os.log).not.toContain(`SIGTERM ${daemon.pid}`);
  });

  it('has a tree that no cookie proves if there is none', async ({ expect }) => {
    const os = new FakeOs();
    os.add({ cookie: '' });
    os.add({ cookie: 'a.1' });
    expect(
      await treeOfDaemon(os, { pid: 0, startTime: undefined, cookie: undefined }).liveMembers(),
    ).toEqual([]);
  });
});
