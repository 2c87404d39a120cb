// The process tables of this system, with real processes; test/unit/os/parse.test.ts tests the
// parsers.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import { darwinBootId, darwinProcesses } from '../../../src/os/darwin.ts';
import { parsePs } from '../../../src/os/parse.ts';
import { systemOs } from '../../../src/os/system.ts';
import { endWindowsTree, windowsProcesses } from '../../../src/os/windows.ts';

const byPid = (entries: readonly { pid: number }[]) => new Map(entries.map((e) => [e.pid, e]));

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** A node process that reports when it runs, then waits to be ended. */
async function startChild(
  env: NodeJS.ProcessEnv,
  ...args: string[]
): Promise<ChildProcess & { pid: number }> {
  const script = `process.stdout.write('ready'); setInterval(() => {}, 1000)`;
  const child = spawn(process.execPath, ['-e', script, ...args], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  await once(child.stdout, 'data');
  return Object.assign(child, { pid: child.pid ?? 0 });
}

describe.runIf(process.platform === 'linux')(
  'the ps of Linux, with the output format of macOS',
  () => {
    it('agrees with the parser about real processes', async () => {
      const marked = await startChild({ ...process.env, AGENT_SUPERVISOR_COOKIE: 'o1.r1' });
      const quoting = await startChild({}, 'AGENT_SUPERVISOR_COOKIE=o1.r1');
      const columns = 'pid=,ppid=,pgid=,stat=,lstart=,ucomm:16=,command=';
      const list = async (selection: string): Promise<string> => {
        const env = { LC_ALL: 'C', TZ: 'UTC' };
        const args = [selection, '-o', columns];
        const options = { env, encoding: 'latin1', maxBuffer: 2 ** 26 } as const;
        return (await promisify(execFile)('/bin/ps', args, options)).stdout;
      };
      const table = byPid(parsePs(await list('axww'), await list('axeww')));
      expect(table.get(marked.pid)).toMatchObject({
        ppid: process.pid,
        alive: true,
        cookie: 'o1.r1',
      });
      expect(table.get(quoting.pid)).toMatchObject({ ppid: process.pid, cookie: undefined });
    });
  },
);

describe.runIf(process.platform === 'darwin')('the process table of macOS', () => {
  it("contains this process, and a child's cookie that is only in its environment", async () => {
    const marked = await startChild({ ...process.env, AGENT_SUPERVISOR_COOKIE: 'o1.r1' });
    const quoting = await startChild({}, 'AGENT_SUPERVISOR_COOKIE=o1.r1');
    const table = await darwinProcesses().snapshot();
    expect(table.get(process.pid)).toMatchObject({ ppid: process.ppid, alive: true });
    expect(table.get(marked.pid)).toMatchObject({ ppid: process.pid, cookie: 'o1.r1' });
    expect(table.get(quoting.pid)).toMatchObject({ ppid: process.pid, cookie: undefined });
  });

  it('has a constant boot id', async () => {
    const bootId = await darwinBootId();
    expect(bootId).not.toBe('');
    expect(await darwinBootId()).toBe(bootId);
  });
});

describe.runIf(process.platform === 'win32')('the process table of Windows', () => {
  it("contains this process and its child, and shows the child's end", async () => {
    const child = await startChild(process.env);
    const processes = windowsProcesses();
    const table = await processes.snapshot();
    expect(table.get(process.pid)).toMatchObject({ ppid: process.ppid, alive: true });
    expect(table.get(child.pid)).toMatchObject({ ppid: process.pid });
    await endWindowsTree(child.pid);
    expect((await processes.snapshot()).has(child.pid)).toBe(false);
  }, 60_000);
});

describe.runIf(systemOs().identifyAsync)('the identity of this host', () => {
  it('is that of a snapshot, and stays the same', async () => {
    const { processes, identifyAsync } = systemOs();
    const identity = await identifyAsync?.();
    const startTime = (await processes.snapshot()).get(process.pid)?.startTime;
    expect(identity).toMatchObject({ pid: process.pid, startTime });
    expect(await identifyAsync?.()).toEqual(identity);
  }, 60_000);
});

describe.skipIf(process.platform === 'darwin' || process.platform === 'win32')('elsewhere', () => {
  it('a snapshot fails rather than show an empty table', async () => {
    await expect(darwinProcesses().snapshot()).rejects.toThrow();
    await expect(windowsProcesses().snapshot()).rejects.toThrow();
    expect(await darwinBootId()).toBe('');
  });
});

it.each([0, 1, 4, -7, 1.5, Number.NaN, process.pid])('never ends pid %d', async (pid) => {
  await expect(endWindowsTree(pid)).resolves.toBeUndefined();
});
