// One daemon, however many launchers there are and whatever ends them: real processes, seen from outside.
import { once } from 'node:events';
import { readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, vi } from 'vitest';
import { CAN_CONTAIN, GRACE_MS } from '../../../kit/containment.ts';
import { it, type LauncherResult, PATIENCE, TIMEOUT_MS } from '../../../kit/daemons.ts';
import {
  environmentOf,
  eventually,
  isAlive,
  type ProcessKey,
  readRow,
} from '../../../kit/process-table.ts';

vi.setConfig({ testTimeout: TIMEOUT_MS });

const LAUNCHERS = 50;

/** Who it is, whatever it does at this moment. */
const keyOf = ({ pid, startTime }: ProcessKey) => ({ pid, startTime });

describe.runIf(CAN_CONTAIN)('ensureDaemon', () => {
  it('starts a daemon, resolves when it is ready, and finds it again', async ({ rig }) => {
    const first = await rig.ensured(rig.options({ startMs: 200 }, { version: '1' }));
    expect(first).toEqual({ pid: expect.any(Number), started: true, version: '1' });
    expect(rig.entries('listens')).toEqual([`listens ${first.pid} `]);
    const again = await rig.ensured(rig.options({}, { version: '1' }));
    expect(again).toEqual({ ...first, started: false });
    expect(await rig.ensured()).toEqual({ ...first, started: false });
    expect(rig.entries('starts')).toHaveLength(1);
    await rig.endDaemon();
  });

  it('gives it a life of its own', async ({ rig, area }) => {
    const env = {
      CLAUDECODE: '1',
      ANTHROPIC_API_KEY: 'kept',
      AGENT_SUPERVISOR_COOKIE: 'outer-owner.r1',
    };
    const { pid } = await rig.ensured(rig.options(), { env });
    const row = readRow(pid);
    expect(row).toMatchObject({ sid: pid, pgid: pid });
    expect(row?.ppid).not.toBe(process.pid);
    const environment = environmentOf(row ?? { pid: 0, pgid: 0, ...NOBODY });
    expect(environment).toContain('ANTHROPIC_API_KEY=kept');
    expect(environment).not.toContain('CLAUDECODE=1');
    const cookie = environment.find((line) => line.startsWith('AGENT_SUPERVISOR_COOKIE='));
    expect(cookie).toMatch(/=outer-owner\.r1\/[\w-]{36}\.daemon\.kept$/);
    expect(cookie?.endsWith(`/${rig.file()?.cookie}`)).toBe(true);
    expect(readlinkSync(`/proc/${pid}/fd/0`)).toBe('/dev/null');
    for (const fd of [1, 2])
      expect(readlinkSync(`/proc/${pid}/fd/${fd}`)).toBe(join(rig.folder, 'test.log'));
    expect(readlinkSync(`/proc/${pid}/cwd`)).toBe(rig.folder);
    // Nothing that only its start needed is left.
    expect(area.tree()).toHaveLength(1);
    await rig.endDaemon();
  });

  const READY = [
    ['a port', {}, (port: number) => ({ port })],
    ['a port of IPv6', { host: '::1' }, (port: number) => ({ port })],
    ['a port at a host', {}, (port: number) => ({ port, host: '127.0.0.1' })],
    ['a url', {}, (port: number) => ({ url: `http://localhost:${port}/health` })],
    ['a check', {}, () => ({ check: 'with pid and signal' })],
    ['a word in its log', {}, () => ({ stdout: '^here I am$|here I am' })],
  ] as const;
  it.for(READY)('knows by %s that it is ready', async ([, where, ready], { rig }) => {
    const how = { listen: { port: rig.port, ...where }, says: 'here I am' };
    const options = rig.options(how, { ready: ready(rig.port) });
    const { pid } = await rig.ensured(options);
    expect(await rig.ensured(options)).toEqual({ pid, started: false });
    await rig.endDaemon();
  });

  it('knows by a socket that it is ready, and clears a dead one away', async ({ rig }) => {
    const path = join(rig.folder, 'app.sock');
    const options = rig.options({ listen: { path } }, { ready: { socket: path } });
    const { pid } = await rig.ensured(options);
    expect(await rig.ensured(options)).toEqual({ pid, started: false });
    await rig.kill(pid);
    expect(await rig.ensured(options)).toMatchObject({ started: true });
    await rig.endDaemon();
  });

  it('runs a program that knows nothing of it', async ({ rig }) => {
    const options = rig.options({ run: false });
    const { pid } = await rig.ensured(options);
    expect(await rig.ensured(options)).toEqual({ pid, started: false });
    expect(rig.file()).toMatchObject({ pid, name: 'test' });
    await rig.endDaemon();
  });

  it.for([
    ['stays in between', 'node "$@"; exit', true],
    ['has gone on', 'node "$@" & sleep 0.2', false],
  ] as const)('finds the daemon behind a shell that %s', async ([, script, stays], { rig }) => {
    for (const run of [true, false]) {
      // Ready only when the shell has long gone on, however fast the machine is.
      const { args = [] } = rig.options({ run, startMs: 1000 });
      const options = rig.options({}, { command: 'sh', args: ['-c', script, 'sh', ...args] });
      const report = await rig.ensured(options);
      const [daemon] = rig.daemons();
      // By `runAsDaemon`, or once nobody else is there, it is the daemon itself that has the file.
      if (run || !stays) expect(report.pid).toBe(daemon?.pid);
      expect(await rig.ensured(options)).toEqual({ pid: report.pid, started: false });
      await rig.kill(daemon?.pid ?? 0);
      await eventually(() => rig.area.tree().length === 0);
    }
  });

  it('lets a daemon behind a shell take the file when it was ready before', async ({ rig }) => {
    // Ready for anything at once; `runAsDaemon` comes when all is over for the launcher.
    const { args = [] } = rig.options();
    const script = 'sleep 1; node "$@"; exit';
    const command = {
      command: 'sh',
      args: ['-c', script, 'sh', ...args],
      ready: { check: 'true' },
    };
    await rig.ensured(rig.options({}, command));
    await eventually(() => rig.entries('listens').length === 1, PATIENCE);
    expect(rig.file()).toMatchObject({ pid: rig.daemons()[0]?.pid, claimed: true });
    await rig.area.endAll();
  });

  it('makes one daemon for fifty launchers at once', async ({ rig }) => {
    const options = rig.options({ startMs: 300 }, { timeoutMs: PATIENCE.timeoutMs });
    const launchers = Array.from({ length: LAUNCHERS }, () => rig.start(options));
    const results = await Promise.all(launchers.map(({ result }) => result));
    const pids = new Set(results.map(({ report }) => report?.pid));
    expect(results.filter(({ report }) => report === undefined)).toEqual([]);
    expect(results.filter(({ report }) => report?.started)).toHaveLength(1);
    expect(rig.entries('starts')).toHaveLength(1);
    expect([...pids]).toEqual(rig.daemons().map(({ pid }) => pid));
    await Promise.all(launchers.map(({ child }) => child.exitCode ?? once(child, 'exit')));
    await rig.endDaemon();
  });

  it('which a launcher that looks and then starts does not (the control)', async ({ rig }) => {
    const options = rig.options({ run: false, startMs: 300 });
    const launchers = Array.from({ length: LAUNCHERS }, () =>
      rig.start(options, { script: 'naive-launcher' }),
    );
    await Promise.all(launchers.map(({ result }) => result));
    expect(rig.entries('starts').length).toBeGreaterThan(1);
    await rig.area.endAll();
  });

  it('starts another one when it was killed', async ({ rig }) => {
    const { pid } = await rig.ensured();
    await rig.kill(pid);
    const next = await rig.ensured();
    expect(next).toMatchObject({ started: true });
    expect(next.pid).not.toBe(pid);
    await rig.endDaemon();
  });

  it('ends what a killed daemon has left before it starts another', async ({ rig, area }) => {
    const { args = [] } = rig.options({ run: false });
    // Its own child holds the port, and lives on without it.
    const script = 'setsid sleep 120 & exec node "$@"';
    const options = rig.options({}, { command: 'sh', args: ['-c', script, 'sh', ...args] });
    const { pid } = await rig.ensured(options);
    const sleep = area.tree().find(({ command }) => command === 'sleep');
    await rig.kill(pid);
    expect(sleep && isAlive(sleep)).toBe(true);
    await rig.ensured(options);
    expect(sleep && isAlive(sleep)).toBe(false);
    await area.endAll();
  });

  it('takes a recycled pid for the death that it is, and spares who has it', async ({ rig }) => {
    const { pid } = await rig.ensured(rig.options({}, { version: '1' }));
    await rig.kill(pid);
    const { writeFileSync } = await import('node:fs');
    for (const version of ['1', '2']) {
      const innocent = rig.area.canary();
      const file = { ...rig.file(), pid: innocent.pid, startTime: '1' };
      writeFileSync(rig.pidFile, JSON.stringify(file));
      const report = await rig.ensured(rig.options({}, { version }));
      expect(report).toMatchObject({ started: true, version });
      expect(isAlive(innocent)).toBe(true);
      await rig.kill(report.pid);
    }
  });
});

const NOBODY = { startTime: '', ppid: 0, sid: 0, state: '', command: '', args: [] };

describe.runIf(CAN_CONTAIN)('a daemon', () => {
  it('outlives its launcher and all of its process group', async ({ rig }) => {
    const launcher = rig.start(rig.options(), { afterwards: 'stay', through: ['setsid'] });
    const { report } = (await launcher.result) as LauncherResult;
    // setsid has become the launcher, the leader of a group of its own.
    const leader = launcher.child.pid ?? 0;
    expect(readRow(leader)).toMatchObject({ pgid: leader });
    const exited = once(launcher.child, 'exit');
    process.kill(-leader, 'SIGKILL');
    await exited;
    expect(rig.daemons().map(({ pid }) => pid)).toEqual([report?.pid]);
    await rig.endDaemon();
  });

  it('outlives a supervised agent that has started it, and the host of that', async ({
    rig,
    area,
  }) => {
    const host = await area.readyHost();
    const launcher = join(rig.scripts, 'launcher.mjs');
    const request = {
      command: process.execPath,
      args: [launcher, JSON.stringify(rig.options()), 'stay'],
    };
    const { id } = await host.ask({ do: 'spawn', request });
    await eventually(() => rig.entries('listens').length === 1, PATIENCE);
    await host.ask({ do: 'terminate', id: String(id) });
    expect(rig.daemons()).toHaveLength(1);

    // Once more, with a host that is killed.
    const second = await host.ask({ do: 'spawn', request });
    expect(second).toMatchObject({ done: 'spawn' });
    const daemons = rig.daemons();
    expect(area.tree().length).toBeGreaterThan(daemons.length);
    host.kill('SIGKILL');
    // The guardian ends the launcher, and nobody else.
    await eventually(() => area.tree().length === 1, { timeoutMs: GRACE_MS });
    expect(rig.daemons().map(keyOf)).toEqual(daemons.map(keyOf));
    await rig.endDaemon();
  });

  it('appends to its log file, which begins anew when it has grown too large', async ({ rig }) => {
    const { appendFileSync, statSync } = await import('node:fs');
    const options = rig.options({}, { logMaxBytes: 1024 });
    const log = join(rig.folder, 'test.log');
    for (let round = 0; round < 2; round++) await rig.kill((await rig.ensured(options)).pid);
    expect(readFileSync(log, 'utf8').match(/secret/g)).toHaveLength(2);
    expect(statSync(log).mode & 0o777).toBe(0o600);
    appendFileSync(log, 'x'.repeat(1024));
    const { pid } = await rig.ensured(options);
    expect(statSync(log).size).toBeLessThan(1024);
    expect(readFileSync(`${log}.1`, 'utf8')).toBe('x'.repeat(1024));
    expect(statSync(`${log}.1`).mode & 0o777).toBe(0o600);
    // The next launcher finds it ready and too talkative; the daemon goes on writing to the same file.
    appendFileSync(log, `${'y'.repeat(2000)}\n`);
    await rig.ensured(options);
    expect(statSync(log).size).toBe(0);
    expect(readFileSync(`${log}.1`, 'utf8')).toBe(`${'y'.repeat(1023)}\n`);
    await rig.kill(pid);
  });
});
