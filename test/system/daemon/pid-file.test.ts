// A pid file is worth what it proves: who is dead, who lives, and whose it is to remove.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, vi } from 'vitest';
import { CAN_CONTAIN, CAN_UNSHARE, UNSHARE } from '../../../kit/containment.ts';
import { it, PATIENCE, TIMEOUT_MS } from '../../../kit/daemons.ts';
import { FakeOs, HOST_PID } from '../../../kit/fake-os.ts';
import { eventually, isAlive, readRow } from '../../../kit/process-table.ts';
import { removePidFile, validatePidFile, writePidFile } from '../../../src/daemon/index.ts';
import { inspectPidFile } from '../../../src/daemon/inspect.ts';
import { removeHalfWritten } from '../../../src/daemon/own-pid-file.ts';
import { systemOs } from '../../../src/os/system.ts';

vi.setConfig({ testTimeout: TIMEOUT_MS });

const NOBODY = 65534;
const IS_ROOT = process.getuid?.() === 0;

const self = () => systemOs().identify();
const write = (path: string, change: object = {}) =>
  writeFileSync(path, JSON.stringify({ version: 1, ...self(), ...change }), { mode: 0o600 });

describe.runIf(CAN_CONTAIN)('validatePidFile', () => {
  it('finds none', async ({ rig }) => {
    expect(await validatePidFile(rig.pidFile)).toBe('missing');
    expect(await validatePidFile(join(rig.folder, 'no', 'folder.pid'))).toBe('missing');
  });

  const STATES: readonly [string, object, string][] = [
    ['of this process', {}, 'alive'],
    ['of an earlier process with its pid', { startTime: '1' }, 'stale'],
    ['of a pid that nobody has', { pid: 4_194_303 }, 'stale'],
    ['of an earlier boot', { bootId: 'another' }, 'stale'],
    ['of this process, under another name', { machine: 'another' }, 'alive'],
    ['of a dead one, under another name', { machine: 'another', startTime: '1' }, 'stale'],
    ['of another machine', { machine: 'another', bootId: 'another' }, 'alive'],
    ['of another PID namespace', { pidNamespace: 'pid:[1]' }, 'alive'],
    ['without a start time', { startTime: undefined }, 'alive'],
    [
      'without a start time, of a pid that nobody has',
      { pid: 4_194_303, startTime: undefined },
      'stale',
    ],
  ];
  it.for(STATES)('takes one %s for %s', async ([, change, state], { rig }) => {
    write(rig.pidFile, change);
    expect(await validatePidFile(rig.pidFile)).toBe(state);
    // It only looks.
    expect(readdirSync(rig.folder)).toEqual(['test.pid']);
  });

  it('takes a zombie for dead, and a stopped process for alive', async ({ rig }) => {
    const zombie = spawn('sh', ['-c', 'sleep 0.1 & echo $!; exec sleep 60'], {
      env: rig.area.env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = await once(zombie.stdout, 'data');
    const pid = Number(String(line));
    const startTime = readRow(pid)?.startTime;
    write(rig.pidFile, { pid, startTime });
    zombie.kill('SIGSTOP');
    while (readRow(pid)) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(await validatePidFile(rig.pidFile)).toBe('stale');
    write(rig.pidFile, {
      pid: zombie.pid,
      startTime: systemOs().processes.read?.(zombie.pid ?? 0)?.startTime,
    });
    expect(await validatePidFile(rig.pidFile)).toBe('alive');
    zombie.kill('SIGKILL');
  });

  const CORRUPT: readonly [string, string][] = [
    ['empty', ''],
    ['a bare number', '4242\n'],
    ['torn', '{"version":1,"pid":'],
    ['of another version', JSON.stringify({ version: 2, pid: 4242 })],
    ['without a pid', JSON.stringify({ version: 1 })],
  ];
  it.for(CORRUPT)('moves one aside that is %s', async ([, text], { rig }) => {
    writeFileSync(rig.pidFile, text);
    expect(await validatePidFile(rig.pidFile)).toBe('invalid');
    expect(readFileSync(`${rig.pidFile}.corrupt`, 'utf8')).toBe(text);
    expect(await validatePidFile(rig.pidFile)).toBe('missing');
  });

  it('does not read 1 GB', async ({ rig }) => {
    writeFileSync(rig.pidFile, '');
    truncateSync(rig.pidFile, 2 ** 30);
    const began = performance.now();
    expect(await validatePidFile(rig.pidFile)).toBe('invalid');
    expect(performance.now() - began).toBeLessThan(1000);
    expect(existsSync(`${rig.pidFile}.corrupt`)).toBe(true);
  });

  it('lets one that is being written become one', async ({ rig }) => {
    writeFileSync(rig.pidFile, '');
    const state = validatePidFile(rig.pidFile);
    write(rig.pidFile);
    expect(await state).toBe('alive');
    expect(readdirSync(rig.folder)).toEqual(['test.pid']);
  });

  const ALONE: readonly [string, (path: string) => void][] = [
    ['a folder', (path) => mkdirSync(path)],
    ['a link to another one', (path) => symlinkSync('/etc/hostname', path)],
    ['a link that leads nowhere', (path) => symlinkSync('/nowhere', path)],
    ['a pipe', (path) => void spawnSync('sh', ['-c', 'mkfifo "$0"', path])],
  ];
  it.for(ALONE)('leaves alone what is %s', async ([, make], { rig }) => {
    make(rig.pidFile);
    expect(await validatePidFile(rig.pidFile)).toBe('invalid');
    expect(readdirSync(rig.folder)).toContain('test.pid');
    expect(existsSync(`${rig.pidFile}.corrupt`)).toBe(false);
  });

  it.runIf(IS_ROOT)("leaves alone what is another user's, whatever is in it", async ({ rig }) => {
    for (const text of ['', JSON.stringify({ version: 1, ...self() })]) {
      writeFileSync(rig.pidFile, text);
      chownSync(rig.pidFile, NOBODY, NOBODY);
      expect(await validatePidFile(rig.pidFile)).toBe('invalid');
      expect(existsSync(rig.pidFile)).toBe(true);
    }
  });

  /** What another user, or another PID namespace, sees. */
  function seenThrough(command: readonly string[], scripts: string, path: string): unknown {
    const [program = '', ...args] = [
      ...command,
      process.execPath,
      join(scripts, 'validate.mjs'),
      path,
    ];
    const { stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', cwd: '/' });
    try {
      return JSON.parse(stdout);
    } catch {
      throw new Error(stderr);
    }
  }
  const AS_NOBODY = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'];

  it.runIf(IS_ROOT)('takes a process that may not be signalled for alive', async ({ rig }) => {
    chmodSync(rig.scripts, 0o755);
    for (const folder of [rig.area.folder, rig.folder]) chmodSync(folder, 0o755);
    const root = readRow(process.pid);
    write(rig.pidFile, { pid: root?.pid, startTime: root?.startTime });
    chownSync(rig.pidFile, NOBODY, NOBODY);
    expect(seenThrough(AS_NOBODY, rig.scripts, rig.pidFile)).toBe('alive');
    // Nor may what cannot be read.
    chmodSync(rig.pidFile, 0);
    expect(seenThrough(AS_NOBODY, rig.scripts, rig.pidFile)).toBe('invalid');
  });

  it.runIf(IS_ROOT && CAN_UNSHARE)('does not take what is hidden for gone', async ({ rig }) => {
    chmodSync(rig.scripts, 0o755);
    for (const folder of [rig.area.folder, rig.folder]) chmodSync(folder, 0o777);
    // In there, pid 1 is root's, and /proc shows nobody but oneself.
    const script = [
      'mount -o remount,hidepid=2 /proc',
      'read -r _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ start _ < /proc/1/stat',
      `"$@" ${AS_NOBODY.join(' ')} "$node" "$script" "$path" 1 "$start"`,
    ].join(' && ');
    const { stdout, stderr } = spawnSync(
      UNSHARE[0],
      [...UNSHARE.slice(1), 'sh', '-c', script, 'sh', 'env'],
      {
        encoding: 'utf8',
        cwd: '/',
        env: {
          ...rig.area.env,
          node: process.execPath,
          script: join(rig.scripts, 'validate.mjs'),
          path: rig.pidFile,
        },
      },
    );
    expect(stdout, stderr).toBe('"alive"\n');
  });

  it.runIf(CAN_UNSHARE)('starts nothing in a container on doubt', async ({ rig }) => {
    write(rig.pidFile);
    expect(seenThrough(UNSHARE, rig.scripts, rig.pidFile)).toBe('alive');
  });

  it.for([undefined, '', 'x\0', 7, null])('refuses the path %j', async (path) => {
    const refusal = { code: 'INVALID_OPTIONS', data: { field: 'path' } };
    await expect(validatePidFile(path as never)).rejects.toMatchObject(refusal);
    await expect(writePidFile(path as never)).rejects.toMatchObject(refusal);
    await expect(removePidFile(path as never)).rejects.toMatchObject(refusal);
  });
});

describe.runIf(CAN_CONTAIN)('writePidFile', () => {
  it('writes who this process is, for itself alone, and removes it again', async ({ rig }) => {
    const path = join(rig.folder, 'new', 'folder', 'test.pid');
    await writePidFile(path, { name: 'n', version: '2', socket: '/x.sock' });
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({
      version: 1,
      ...self(),
      name: 'n',
      daemonVersion: '2',
      socket: '/x.sock',
      claimed: true,
      heartbeat: expect.stringMatching(/^[\da-f]{12}$/),
    });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(await validatePidFile(path)).toBe('alive');
    // Once more, with something else to say.
    await writePidFile(path, { version: '3' });
    expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ daemonVersion: '3' });
    expect(await removePidFile(path)).toBe(true);
    expect(await removePidFile(path)).toBe(false);
    expect(readdirSync(join(rig.folder, 'new', 'folder'))).toEqual([]);
  });

  it.for([
    ['stale', { startTime: '1' }],
    ['of an earlier boot', { bootId: 'x' }],
  ] as const)('takes the place of one that is %s', async ([, change], { rig }) => {
    write(rig.pidFile, change);
    await writePidFile(rig.pidFile);
    const { pid, heartbeat } = JSON.parse(readFileSync(rig.pidFile, 'utf8'));
    expect(pid).toBe(process.pid);
    expect(readdirSync(rig.folder).sort()).toEqual([
      `heartbeat-${heartbeat}.json`,
      `heartbeat-${heartbeat}.sock`,
      'test.pid',
    ]);
  });

  it("leaves another's alone that lives, and who has it", async ({ rig }) => {
    const canary = rig.area.canary();
    const { pid, startTime } = canary;
    write(rig.pidFile, { pid, startTime, name: 'canary' });
    const before = readFileSync(rig.pidFile, 'utf8');
    const refused = writePidFile(rig.pidFile);
    await expect(refused).rejects.toMatchObject({ code: 'ALREADY_RUNNING', data: { pid } });
    await expect(refused).rejects.toThrow(`that of pid ${pid} ("canary")`);
    expect(await removePidFile(rig.pidFile)).toBe(false);
    expect(readFileSync(rig.pidFile, 'utf8')).toBe(before);
    expect(isAlive(canary)).toBe(true);
  });

  it("leaves one alone that it cannot judge, and what is none of this user's", async ({ rig }) => {
    write(rig.pidFile, { machine: 'another', bootId: 'another' });
    await expect(writePidFile(rig.pidFile)).rejects.toThrow('another machine or PID namespace');
    rmSync(rig.pidFile);
    mkdirSync(rig.pidFile);
    await expect(writePidFile(rig.pidFile)).rejects.toMatchObject({ code: 'STATE_DIR_UNSAFE' });
    await expect(writePidFile('/proc/x/test.pid')).rejects.toMatchObject({
      code: 'STATE_DIR_UNSAFE',
    });
  });

  it('takes the mark of no daemon that it is merely below', async ({ rig, area }) => {
    const outer = rig.options(
      {},
      { pidFile: join(rig.folder, 'outer.pid'), ready: { check: 'true' } },
    );
    const how = rig.how({ run: { pidFile: rig.pidFile }, startMs: 0 });
    // A shell of the outer daemon's, in which somebody starts another one by hand.
    const script = 'node "$1" "$2" & node "$1" "$3" & wait';
    const [daemon = ''] = rig.options().args ?? [];
    const args = ['-c', script, 'sh', daemon, JSON.stringify(how), JSON.stringify({ run: true })];
    await rig.ensured({ ...outer, command: 'sh', args });
    await eventually(() => rig.file() !== undefined && rig.daemons().length === 2, PATIENCE);
    expect(rig.file()?.cookie).toBeUndefined();
    // To end it ends nobody else.
    const inner = rig.file()?.pid ?? 0;
    await rig.ensured(rig.options({}, { version: '2' }));
    expect(isAlive(readRow(inner) ?? { pid: inner, startTime: '' })).toBe(false);
    expect(area.tree().filter(({ command }) => command === 'sh')).toHaveLength(1);
    await area.endAll();
  });

  it('removes no successor’s file', async ({ rig }) => {
    await writePidFile(rig.pidFile);
    write(rig.pidFile, { startTime: '1' });
    expect(await removePidFile(rig.pidFile)).toBe(false);
    expect(existsSync(rig.pidFile)).toBe(true);
  });

  it('leaves no half of it when its writer is dead, and nobody else’s', async ({ rig }) => {
    const [mine, others] = ['11111111', '22222222'];
    const left = [`${mine}.a.tmp`, `${mine}.b.aside`, `${mine}.c.aside`, `${others}.d.tmp`];
    const at = (name: string) => `${rig.pidFile}.${name}`;
    for (const name of left) writeFileSync(at(name), '');
    write(at(`${mine}.b.aside`), { cookie: `${mine}.daemon.kept` });
    write(at(`${mine}.c.aside`), { cookie: `${others}.daemon.kept` });
    removeHalfWritten(rig.pidFile, mine, systemOs());
    expect(left.filter((name) => existsSync(at(name)))).toEqual([
      `${mine}.c.aside`,
      `${others}.d.tmp`,
    ]);
  });

  it.for([
    [{ names: 1 }, 'names'],
    [{ name: '' }, 'name'],
    [{ version: 1 }, 'version'],
    [{ socket: 'x'.repeat(5000) }, 'socket'],
  ] as const)('refuses %j', async ([details, field], { rig }) => {
    await expect(writePidFile(rig.pidFile, details as never)).rejects.toMatchObject({
      code: 'INVALID_OPTIONS',
      data: { field },
    });
  });
});

describe.runIf(CAN_CONTAIN)('of many that start by hand at once', () => {
  it('one is the daemon, and the others are told so', async ({ rig }) => {
    const children: ChildProcess[] = [];
    const ends = Array.from({ length: 8 }, async () => {
      const how = rig.how({ run: { pidFile: rig.pidFile, name: 'by hand' } });
      const child = spawn(
        process.execPath,
        [join(rig.scripts, 'daemon.mjs'), JSON.stringify(how)],
        {
          env: rig.area.env,
          stdio: ['ignore', 'ignore', 'pipe'],
        },
      );
      children.push(child);
      let stderr = '';
      child.stderr.on('data', (text) => {
        stderr += text;
      });
      await once(child, 'close');
      return stderr;
    });
    // All but one end by themselves.
    const over = ends.map((end) => end.then((text) => text));
    const refusals: string[] = [];
    for (const end of over) void end.then((text) => refusals.push(text));
    while (refusals.length < 7) await new Promise((resolve) => setTimeout(resolve, 25));
    for (const text of refusals)
      expect(text).toMatch(/ALREADY_RUNNING|The pid file .* is that of pid/);
    const [daemon] = rig.daemons();
    expect(rig.daemons()).toHaveLength(1);
    expect(rig.file()).toMatchObject({ pid: daemon?.pid, name: 'by hand' });
    // A launcher finds it as any other.
    while (rig.entries('listens').length === 0)
      await new Promise((resolve) => setTimeout(resolve, 25));
    expect(await rig.ensured()).toEqual({ pid: daemon?.pid, started: false });

    // Its end is one that others can see.
    rig.signalDaemon('SIGHUP');
    rig.signalDaemon('SIGTERM');
    await Promise.all(ends);
    expect(rig.file()).toBeUndefined();
    expect(children.map(({ signalCode }) => signalCode).filter(Boolean)).toEqual(['SIGTERM']);
  });
});

describe('where a system tells who one is by a look only', () => {
  it.for(['darwin', 'win32'] as const)(
    '%s: a pid file is judged by one',
    async (platform, { rig }) => {
      const os = new FakeOs(platform);
      const identity = await os.identifyAsync?.();
      const other = os.add();
      const judge = async (change: object) => {
        writeFileSync(rig.pidFile, JSON.stringify({ version: 1, ...identity, ...change }));
        return (await inspectPidFile(rig.pidFile, os)).state;
      };
      expect(await judge({})).toBe('alive');
      expect(await judge({ pid: other.pid, startTime: other.startTime })).toBe('alive');
      expect(await judge({ pid: other.pid, startTime: '1' })).toBe('stale');
      expect(await judge({ pid: 4000, startTime: '1' })).toBe('stale');
      expect(await judge({ pid: other.pid, startTime: undefined })).toBe('alive');
      expect(HOST_PID).toBe(identity?.pid);
    },
  );
});
