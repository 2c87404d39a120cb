// Which files a sweep clears away: those of the dead, and nobody else's.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createSupervisor, type Supervisor } from '../../../src/index.ts';
import { systemOs } from '../../../src/os/system.ts';
import { replacePidFile } from '../../../src/store/pid-file.ts';

const LISTEN =
  "require('node:net').createServer().listen(process.argv[1], () => console.log('up')); setTimeout(() => process.exit(), 60_000)";

let stateDir = '';
let supervisor: Supervisor;
const at = (name: string) => join(stateDir, name);

beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'agent-supervisor-pid-'));
  supervisor = createSupervisor({ stateDir });
});
afterEach(async () => {
  await supervisor.stop();
  rmSync(stateDir, { recursive: true });
});

/** A real listener with its pid file and socket. */
async function listener(name: string) {
  const socket = at(`${name}.sock`);
  const child = spawn(process.execPath, ['-e', LISTEN, socket], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  const pid = child.pid ?? 0;
  const startTime = systemOs().processes.read?.(pid)?.startTime;
  replacePidFile(at(`${name}.pid`), { ...systemOs().identify(), pid, startTime, socket });
  const kill = async () => {
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
  return { kill, identity: { ...systemOs().identify(), pid, startTime }, socket };
}

describe.runIf(process.platform === 'linux')('a sweep', () => {
  it('removes pid file and socket once the process is dead, and says so before', async () => {
    const { kill, socket } = await listener('daemon');
    expect(await supervisor.sweep()).toMatchObject({ removed: [] });
    await kill();
    const gone = [socket, at('daemon.pid')];
    expect(await supervisor.sweep({ dryRun: true })).toMatchObject({ removed: gone });
    expect(gone.map((path) => existsSync(path))).toEqual([true, true]);
    expect(await supervisor.sweep()).toMatchObject({ removed: gone });
    expect(gone.map((path) => existsSync(path))).toEqual([false, false]);
  });

  it('takes a recycled pid for the death that it is', async () => {
    const { pid, ...self } = systemOs().identify();
    replacePidFile(at('old.pid'), { ...self, pid, startTime: '1' });
    expect(await supervisor.sweep()).toMatchObject({ removed: [at('old.pid')] });
  });

  it('forgets what an earlier boot has left', async () => {
    replacePidFile(at('old.pid'), { ...systemOs().identify(), bootId: 'another' });
    expect(await supervisor.sweep()).toMatchObject({ removed: [at('old.pid')] });
  });

  it('leaves everything else alone', async () => {
    const { kill, identity } = await listener('gone');
    await kill();
    rmSync(at('gone.pid'));
    rmSync(at('gone.sock'), { force: true });
    writeFileSync(at('bare.pid'), `${identity.pid}\n`);
    writeFileSync(at('noise.pid'), '{');
    replacePidFile(at('machine.pid'), { ...identity, machine: 'another', bootId: 'another' });
    replacePidFile(at('namespace.pid'), { ...identity, pidNamespace: 'pid:[1]' });
    replacePidFile(at('unknown.pid'), { ...identity, startTime: undefined });
    replacePidFile(at('target'), identity);
    symlinkSync(at('target'), at('link.pid'));
    const others = ['bare', 'noise', 'machine', 'namespace', 'unknown', 'link'];
    expect(await supervisor.sweep()).toMatchObject({ removed: [] });
    for (const name of others) expect(existsSync(at(`${name}.pid`)), name).toBe(true);

    // A socket that is none, or that lies elsewhere, is not its to remove.
    writeFileSync(at('precious'), 'text');
    replacePidFile(at('liar.pid'), { ...identity, socket: at('precious') });
    expect(await supervisor.sweep()).toMatchObject({ removed: [at('liar.pid')] });
    expect(readFileSync(at('precious'), 'utf8')).toBe('text');
    const elsewhere = join(mkdtempSync(join(tmpdir(), 'agent-supervisor-pid-')), 'x.sock');
    const other = spawn(process.execPath, ['-e', LISTEN, elsewhere], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(other.stdout, 'data');
    replacePidFile(at('liar.pid'), { ...identity, socket: elsewhere });
    expect(await supervisor.sweep()).toMatchObject({ removed: [at('liar.pid')] });
    expect(existsSync(elsewhere)).toBe(true);
    other.kill('SIGKILL');
    await once(other, 'exit');
    rmSync(elsewhere, { force: true });
  });
});
