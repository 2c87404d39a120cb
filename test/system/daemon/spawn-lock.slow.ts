// The spawn lock among processes that are killed at any moment: never two holders, and nobody waits for the dead.
import { type ChildProcess, spawn } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, vi } from 'vitest';
import { CAN_CONTAIN } from '../../../kit/containment.ts';
import { type DaemonRig, it, PATIENCE, TIMEOUT_MS } from '../../../kit/daemons.ts';
import { eventually } from '../../../kit/process-table.ts';
import { acquireSpawnLock } from '../../../src/daemon/index.ts';
import { systemOs } from '../../../src/os/system.ts';

vi.setConfig({ testTimeout: TIMEOUT_MS });

/** A process that takes the lock again and again, and what it has said. */
interface Contender {
  readonly child: ChildProcess;
  readonly lines: string[];
}

const ROUNDS = 1000;
const HOLD_MS = 3;

function contend(rig: DaemonRig, lock: string, naive: boolean): Contender {
  const script = join(rig.scripts, 'contender.mjs');
  const more = naive ? ['naive'] : [];
  const args = [script, lock, String(ROUNDS), String(HOLD_MS), ...more];
  const child = spawn(process.execPath, args, {
    env: rig.area.env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  return { child, lines };
}

const isOver = ({ child }: Contender) => child.exitCode !== null || child.signalCode !== null;

/** Six that contend, one of whom is killed or stopped again and again; tells all that they have said. */
async function disturb(
  rig: DaemonRig,
  lock: string,
  {
    ms,
    naive = false,
    isEnough = () => false,
  }: { ms: number; naive?: boolean; isEnough?: (said: readonly string[]) => boolean },
): Promise<{ said: readonly string[]; kills: number }> {
  const all: Contender[] = [];
  const start = (): Contender => {
    const contender = contend(rig, lock, naive);
    all.push(contender);
    return contender;
  };
  const said = () => all.flatMap(({ lines }) => lines);
  const live = Array.from({ length: 6 }, start);
  await eventually(() => live.every(({ lines }) => lines.length > 0), PATIENCE);
  const untilMs = performance.now() + ms;
  let kills = 0;
  while (performance.now() < untilMs && !isEnough(said())) {
    await delay(20 + Math.random() * 150);
    const at = Math.floor(Math.random() * live.length);
    const victim = live[at];
    if (victim === undefined || isOver(victim)) continue;
    if (Math.random() < 0.5) {
      victim.child.kill('SIGSTOP');
      setTimeout(() => victim.child.kill('SIGCONT'), 30 + Math.random() * 100);
    } else {
      victim.child.kill('SIGKILL');
      kills++;
      live[at] = start();
    }
  }
  for (const { child } of all) child.kill('SIGKILL');
  await eventually(() => all.every(isOver), PATIENCE);
  return { said: said(), kills };
}

describe.runIf(CAN_CONTAIN)('a spawn lock', () => {
  it('is had by one at a time, in its own process too, and leaves nothing behind', async ({
    rig,
  }) => {
    const path = join(rig.folder, 'lock');
    let holders = 0;
    const turn = async () => {
      const lock = await acquireSpawnLock(path, { timeoutMs: 60_000 });
      expect(lock.held).toBe(true);
      expect(++holders).toBe(1);
      await new Promise((resolve) => setImmediate(resolve));
      holders--;
      lock.release();
      lock.release();
    };
    await Promise.all(Array.from({ length: 20 }, turn));
    expect(readdirSync(rig.folder)).toEqual([]);
  });

  it('is taken over within a second from a holder that was killed', async ({ rig }) => {
    const path = `${rig.pidFile}.lock`;
    const launcher = rig.start(rig.options(), { afterwards: 'held' });
    expect(await launcher.line()).toEqual({ held: launcher.child.pid });
    const wanted = acquireSpawnLock(path, { timeoutMs: 60_000 });
    await delay(300);
    const began = performance.now();
    await rig.kill(launcher.child.pid ?? 0);
    const lock = await wanted;
    expect(performance.now() - began).toBeLessThan(1000);
    lock.release();
    expect(readdirSync(rig.folder)).toEqual([]);
    // And a launcher finds its way, too.
    const second = rig.start(rig.options(), { afterwards: 'held' });
    await second.line();
    await rig.kill(second.child.pid ?? 0);
    expect(await rig.ensured()).toMatchObject({ started: true });
    await rig.endDaemon();
    // Of the daemon, which is dead: whoever removes its pid file removes them, too.
    const { heartbeat } = JSON.parse(readFileSync(rig.pidFile, 'utf8'));
    const left = ['json', 'sock'].map((end) => `heartbeat-${heartbeat}.${end}`);
    expect(readdirSync(rig.folder).sort()).toEqual([...left, 'test.log', 'test.pid']);
  });

  it('is never had by two, whoever is killed or stopped and whenever', async ({ rig }) => {
    const path = join(rig.folder, 'lock');
    const { said, kills } = await disturb(rig, path, { ms: 15_000 });
    expect(kills).toBeGreaterThan(20);
    expect(said.filter((line) => line === 'alone').length).toBeGreaterThan(20);
    expect(said.filter((line) => !['ready', 'alone', 'done'].includes(line))).toEqual([]);
    // Nor does anything keep the next one out.
    const lock = await acquireSpawnLock(path, { timeoutMs: 5000 });
    expect(lock.held).toBe(true);
    lock.release();
    const left = readdirSync(rig.folder).filter((name) => !name.endsWith('.tmp'));
    expect(left).toEqual([]);
  });

  it('which one that is just removed from a dead holder is (the control)', async ({ rig }) => {
    const { said } = await disturb(rig, join(rig.folder, 'lock'), {
      ms: 60_000,
      naive: true,
      isEnough: (lines) => lines.includes('NOT ALONE'),
    });
    expect(said).toContain('NOT ALONE');
  });

  const self = () => {
    const { machine, pid, startTime, bootId, pidNamespace } = systemOs().identify();
    return { version: 1, nonce: 'other', machine, pid, startTime, bootId, pidNamespace };
  };
  const DEAD = { startTime: '1' };

  it('is taken over from a chain of the dead', async ({ rig }) => {
    const path = join(rig.folder, 'lock');
    const write = (at: string, nonce: string) =>
      writeFileSync(at, JSON.stringify({ ...self(), ...DEAD, nonce }));
    write(path, 'a');
    write(`${path}.a.taken`, 'b');
    write(`${path}.b.taken`, 'c');
    write(`${path}.unrelated.taken`, 'd');
    const lock = await acquireSpawnLock(path, { timeoutMs: 1000 });
    expect(JSON.parse(readFileSync(path, 'utf8')).nonce).not.toBe('a');
    lock.release();
    expect(readdirSync(rig.folder)).toEqual([]);
  });

  it('of a dead holder is left to a living one who is about to remove it', async ({ rig }) => {
    const path = join(rig.folder, 'lock');
    writeFileSync(path, JSON.stringify({ ...self(), ...DEAD, nonce: 'a' }));
    writeFileSync(`${path}.a.taken`, JSON.stringify({ ...self(), nonce: 'b' }));
    await expect(acquireSpawnLock(path, { timeoutMs: 100 })).rejects.toMatchObject({
      code: 'READY_TIMEOUT',
    });
    expect(JSON.parse(readFileSync(path, 'utf8')).nonce).toBe('a');
  });

  const WAITED_FOR = [
    ['a living process', () => JSON.stringify(self()), /held by pid \d+ on/],
    [
      'another machine',
      () => JSON.stringify({ ...self(), machine: 'another', bootId: 'another' }),
      /cannot be judged from here/,
    ],
    [
      'another PID namespace',
      () => JSON.stringify({ ...self(), pidNamespace: 'pid:[1]' }),
      /cannot be judged from here/,
    ],
    ['nobody that it names', () => '{}', /no spawn lock/],
    ['an empty file', () => '', /no spawn lock/],
    ['another format', () => JSON.stringify({ ...self(), version: 2 }), /no spawn lock/],
  ] as const;
  it.for(WAITED_FOR)('of %s is waited for, and named', async ([, text, message], { rig }) => {
    const path = join(rig.folder, 'lock');
    writeFileSync(path, text());
    const refused = acquireSpawnLock(path, { timeoutMs: 60 });
    await expect(refused).rejects.toThrow(message);
    await expect(refused).rejects.toMatchObject({ code: 'READY_TIMEOUT', data: { path } });
    expect(readFileSync(path, 'utf8')).toBe(text());
  });

  it('is no folder, no link and no file that takes a minute to read', async ({ rig }) => {
    const path = join(rig.folder, 'lock');
    const refused = () =>
      expect(acquireSpawnLock(path, { timeoutMs: 30 })).rejects.toThrow('no spawn lock');
    mkdirSync(path);
    await refused();
    rmSync(path, { recursive: true });
    symlinkSync('/dev/zero', path);
    await refused();
    rmSync(path);
    writeFileSync(path, '');
    truncateSync(path, 2 ** 30);
    const began = performance.now();
    await refused();
    expect(performance.now() - began).toBeLessThan(500);
  });

  it('of an earlier boot is taken over', async ({ rig }) => {
    const path = join(rig.folder, 'lock');
    writeFileSync(path, JSON.stringify({ ...self(), bootId: 'another' }));
    (await acquireSpawnLock(path, { timeoutMs: 1000 })).release();
    expect(readdirSync(rig.folder)).toEqual([]);
  });

  it('releases nobody else’s', async ({ rig }) => {
    const path = join(rig.folder, 'lock');
    const lock = await acquireSpawnLock(path);
    const others = JSON.stringify(self());
    writeFileSync(path, others);
    lock.release();
    expect(readFileSync(path, 'utf8')).toBe(others);
  });

  it('is waited for no longer than anybody wants it', async ({ rig }) => {
    const path = join(rig.folder, 'lock');
    const lock = await acquireSpawnLock(path);
    const controller = new AbortController();
    const wanted = acquireSpawnLock(path, { signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(wanted).rejects.toMatchObject({ code: 'ABORTED', cause: new Error('enough') });
    lock.release();
  });

  it.runIf(process.getuid?.() === 0)(
    'is not held where it cannot be made, and keeps nobody out there',
    async ({ rig }) => {
      // Root may write everywhere, so somebody else has to try.
      chmodSync(rig.area.folder, 0o755);
      chmodSync(rig.folder, 0o555);
      chmodSync(rig.scripts, 0o755);
      const script = join(rig.scripts, 'contender.mjs');
      const child = spawn(process.execPath, [script, join(rig.folder, 'lock'), '1', '1'], {
        env: rig.area.env,
        cwd: '/',
        uid: 65534,
        gid: 65534,
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let said = '';
      child.stdout.on('data', (text) => {
        said += text;
      });
      await eventually(() => child.exitCode !== null, PATIENCE);
      expect(said).toBe('ready\nnot held\ndone\n');
    },
  );

  it('says what is wrong with its folder', async ({ rig }) => {
    const missing = acquireSpawnLock(join(rig.folder, 'gone', 'lock'));
    await expect(missing).rejects.toMatchObject({ code: 'STATE_DIR_UNSAFE' });
  });

  it.for([
    [undefined, undefined, 'path'],
    ['', undefined, 'path'],
    ['x\0', undefined, 'path'],
    ['x', { timeout: 1 }, 'timeout'],
    ['x', { timeoutMs: -1 }, 'timeoutMs'],
    ['x', { signal: {} }, 'signal'],
  ] as const)('refuses %j with %j', async ([path, options, field], { rig }) => {
    expect(rig.pidFile).toBeDefined();
    await expect(acquireSpawnLock(path as string, options as never)).rejects.toMatchObject({
      code: 'INVALID_OPTIONS',
      data: { field },
    });
  });
});
