// The process table as our own code reads it, compared with /proc as the test reads it.
import { type ChildProcess, execFile, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  endByMarker,
  eventually,
  findByMarker,
  type ProcessRow,
  readRow,
} from '../../../kit/process-table.ts';
import { isProcessAlive } from '../../../src/index.ts';
import { COOKIE_VARIABLE, type ProcessEntry } from '../../../src/os/os.ts';
import { systemOs } from '../../../src/os/system.ts';

const run = promisify(execFile);

const MARKER = 'AGENT_SUPERVISOR_LINUX_TEST';
const IS_ALIVE = join(import.meta.dirname, '../../fixtures/hosts/is-alive.ts');
const NOBODY = 65534;

describe.runIf(process.platform === 'linux')('on Linux', () => {
  const os = systemOs();
  const snapshot = () => os.processes.snapshot();
  const read = (pid: number) => os.processes.read?.(pid);
  let folder = '';
  let marker = '';

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'agent-supervisor-linux-'));
    marker = folder;
  });
  afterAll(async () => {
    const leaked = await endByMarker(MARKER, marker);
    rmSync(folder, { recursive: true, force: true });
    expect(leaked, 'alive after the tests').toEqual([]);
  });

  /** Runs `test` while a child with our marker runs, and ends every process with it afterwards. */
  async function whileRunning(
    command: string,
    args: readonly string[],
    test: (child: ChildProcess & { pid: number }) => Promise<void>,
    options: SpawnOptions = {},
  ): Promise<void> {
    const child = spawn(command, args, {
      stdio: ['pipe', 'pipe', 'inherit'],
      ...options,
      env: { PATH: process.env['PATH'], [MARKER]: marker, ...options.env },
    });
    await once(child, 'spawn');
    try {
      await test(child as ChildProcess & { pid: number });
    } finally {
      await endByMarker(MARKER, marker);
    }
  }

  const sleeps = (rows: readonly ProcessRow[]) => rows.filter(({ command }) => command === 'sleep');

  it('agrees with /proc about every process of a tree with its own sessions and orphans', async () => {
    const script = "sleep 300 & setsid sleep 300 & (setsid sh -c 'sleep 300 &' &); cat; exit";
    await whileRunning('sh', ['-c', script], async ({ pid }) => {
      await eventually(() => sleeps(findByMarker(MARKER, marker)).length === 3);
      await eventually(() => findByMarker(MARKER, marker).length === 5);
      const rows = findByMarker(MARKER, marker);
      const table = await snapshot();
      for (const row of rows) {
        const { pid, ppid, pgid, sid, startTime, command } = row;
        const expected = { pid, ppid, pgid, sid, startTime, command, alive: true };
        expect(table.get(row.pid)).toEqual({ ...expected, cookie: undefined, tags: [] });
        expect(read(row.pid)).toEqual(expected);
      }
      // The processes of the test itself, not only those that it has read.
      const [inGroup, ...others] = sleeps(rows).sort((a, b) => (a.ppid === pid ? -1 : b.pid));
      expect(inGroup).toBeDefined();
      expect(others.every(({ sid }) => sid !== inGroup?.sid)).toBe(true);
    });
  });

  it('contains its own process, its parent and pid 1', async () => {
    const table = await snapshot();
    expect(table.get(process.pid)).toMatchObject({ pid: process.pid, ppid: process.ppid });
    expect(table.has(1)).toBe(true);
    expect([...table].every(([pid, entry]) => pid === entry.pid)).toBe(true);
  });

  it('contains no threads', async () => {
    const table = await snapshot();
    const threads = readdirSync('/proc/self/task').map(Number);
    expect(threads.length).toBeGreaterThan(1);
    expect(threads.filter((tid) => table.has(tid))).toEqual([process.pid]);
  });

  it('identifies this host', () => {
    expect(os.identify()).toEqual({
      machine: hostname(),
      pid: process.pid,
      startTime: readRow(process.pid)?.startTime,
      bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
      pidNamespace: readlinkSync('/proc/self/ns/pid'),
    });
  });

  describe('a cookie', () => {
    const cookieOf = async (env: NodeJS.ProcessEnv): Promise<string | undefined> => {
      let entry: ProcessEntry | undefined;
      await whileRunning(
        'sleep',
        ['300'],
        async ({ pid }) => {
          // The environment is the program's own once it has started.
          await eventually(() => readRow(pid)?.command === 'sleep');
          entry = (await snapshot()).get(pid);
        },
        { env },
      );
      return entry?.cookie;
    };

    it.each([
      ['is found', { [COOKIE_VARIABLE]: 'o1.r1' }, 'o1.r1'],
      ['is undefined without the variable', { OTHER: '1' }, undefined],
      [
        'is not read from a variable with a longer beginning',
        { [`MY_${COOKIE_VARIABLE}`]: 'o1.r1' },
        undefined,
      ],
      ['is not read from a longer name', { [`${COOKIE_VARIABLE}_2`]: 'o1.r1' }, undefined],
      ['is not read from another value', { OTHER: `${COOKIE_VARIABLE}=o1.r1` }, undefined],
      ['is not read from a line of a value', { OTHER: `x\n${COOKIE_VARIABLE}=o1.r1` }, undefined],
      [
        'is not hidden by any of these',
        { A: `x\n${COOKIE_VARIABLE}=a.b`, [COOKIE_VARIABLE]: 'o1.r1' },
        'o1.r1',
      ],
      ['may be empty', { [COOKIE_VARIABLE]: '' }, ''],
    ])('%s', async (_what, env, expected) => {
      expect(await cookieOf(env)).toBe(expected);
    });

    it('is found at the end of an environment of more than 64 KiB', async () => {
      const wide = Object.fromEntries(
        Array.from({ length: 8 }, (_, index) => [`WIDE_${index}`, 'x'.repeat(60 * 1024)]),
      );
      expect(await cookieOf({ ...wide, [COOKIE_VARIABLE]: 'o1.r1' })).toBe('o1.r1');
      // The buffer has grown; a small environment must not show the large one's rest.
      expect(await cookieOf({ OTHER: '1' })).toBeUndefined();
    });

    it('is inherited by a process that forks twice into a session of its own', async () => {
      const env = { [COOKIE_VARIABLE]: 'o1.r1' };
      await whileRunning(
        'sh',
        ['-c', "(setsid sh -c 'sleep 300 &' &); cat"],
        async () => {
          const [orphan] = await eventually(() => {
            const found = sleeps(findByMarker(MARKER, marker));
            return found.length === 1 && found;
          });
          const entry = (await snapshot()).get(orphan?.pid ?? 0);
          expect(entry).toMatchObject({ cookie: 'o1.r1', command: 'sleep' });
        },
        { env },
      );
    });

    it('is in every snapshot while its process runs one program after the other', async () => {
      const env = { [COOKIE_VARIABLE]: 'o1.r1' };
      const script = join(folder, 'exec-for-ever');
      writeFileSync(script, '#!/bin/sh\nexec "$0"\n', { mode: 0o755 });
      await whileRunning(
        script,
        [],
        async ({ pid }) => {
          const cookie = async () => (await snapshot()).get(pid)?.cookie;
          const seen = new Set<string | undefined>();
          // Two in a row, as before a tree counts as dead: a busy machine may keep the process in
          // execve longer than one snapshot waits.
          for (let count = 0; count < 150; count++) seen.add((await cookie()) ?? (await cookie()));
          expect([...seen]).toEqual(['o1.r1']);
        },
        { env },
      );
    });

    it('is removed by `env -i`, where only the tree proves the process', async () => {
      const env = { [COOKIE_VARIABLE]: 'o1.r1' };
      await whileRunning(
        'sh',
        ['-c', `env -i ${MARKER}="$${MARKER}" sleep 300 & cat`],
        async ({ pid }) => {
          const [bare] = await eventually(() => {
            const found = sleeps(findByMarker(MARKER, marker));
            return found.length === 1 && found;
          });
          expect((await snapshot()).get(bare?.pid ?? 0)).toMatchObject({
            ppid: pid,
            cookie: undefined,
          });
        },
        { env },
      );
    });
  });

  it.each(['a) (b', 'x) S 1 1', '(', ') ', 'two\nlines', 'fünfzehn'])(
    'reads the process named %j',
    async (name) => {
      const program = join(folder, name);
      copyFileSync('/bin/sleep', program);
      await whileRunning(program, ['300'], async ({ pid }) => {
        await eventually(() => readRow(pid)?.args[0] === program);
        const row = readRow(pid);
        expect(read(pid)).toMatchObject({ pid, ppid: process.pid, startTime: row?.startTime });
        expect((await snapshot()).get(pid)).toMatchObject({ pid, alive: true });
      });
    },
  );

  it('counts a zombie as dead', async () => {
    // The shell becomes a program that never waits for its children, before one of them exits.
    await whileRunning('sh', ['-c', 'sleep 0.2 & echo $!; exec sleep 300'], async (child) => {
      const [line] = await once(child.stdout as NodeJS.ReadableStream, 'data');
      const pid = Number(String(line));
      await eventually(() => /\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'latin1')));
      expect(read(pid)).toMatchObject({ pid, alive: false });
      expect((await snapshot()).get(pid)).toMatchObject({ alive: false, cookie: undefined });
      expect(isProcessAlive(pid)).toBe(false);
      // Negative control: the usual system call says otherwise.
      expect(process.kill(pid, 0)).toBe(true);
    });
  });

  it('counts a process as dead when its last thread is, and its sockets are free', async () => {
    const listen =
      "require('node:net').createServer().listen('\\0' + process.argv[1], () => console.log('up')); setTimeout(() => {}, 60_000)";
    for (let round = 0; round < 20; round++) {
      const name = `agent-supervisor-threads-${process.pid}-${round}`;
      await whileRunning(process.execPath, ['-e', listen, name], async (child) => {
        await once(child.stdout as NodeJS.ReadableStream, 'data');
        child.kill('SIGKILL');
        // No pause: the main thread is a zombie before the others have closed anything.
        while (read(child.pid)?.alive);
        const server = createServer().listen(`\0${name}`);
        await once(server, 'listening');
        server.close();
      });
    }
  });

  it('samples running processes, and leaves out those that have exited', async () => {
    const script =
      'const held = Buffer.alloc(1e8, 1); console.log(held.length); setTimeout(() => held, 3e5)';
    await whileRunning(process.execPath, ['-e', script], async (child) => {
      await once(child.stdout as NodeJS.ReadableStream, 'data');
      const idle = spawn('sleep', ['300'], { env: { [MARKER]: marker } });
      const nobody = [0x7ffffffe, 0x7fffffff];
      const pids = [child.pid, idle.pid ?? 0, ...nobody];
      const usage = await os.sample(pids);
      const shares = await os.pss?.(pids);
      idle.kill('SIGKILL');
      expect([...usage.keys()].sort()).toEqual(pids.slice(0, 2).sort());
      expect([...(shares?.keys() ?? [])].sort()).toEqual(pids.slice(0, 2).sort());
      expect(usage.get(child.pid)?.rssBytes).toBeGreaterThan(1e8);
      expect(shares?.get(child.pid)).toBeGreaterThan(1e8);
      expect(shares?.get(child.pid)).toBeLessThan(usage.get(child.pid)?.rssBytes ?? 0);
      expect(usage.get(child.pid)?.cpuTimeMs).toBeGreaterThanOrEqual(10);
      expect(usage.get(idle.pid ?? 0)?.cpuTimeMs).toBeLessThan(10);
    });
  });

  it('finds nothing for the pid of a process that has exited', async () => {
    let gone = 0;
    await whileRunning('sleep', ['300'], async (child) => {
      gone = child.pid;
      expect(isProcessAlive(gone)).toBe(true);
      child.kill('SIGKILL');
      await once(child, 'exit');
    });
    expect(read(gone)).toBeUndefined();
    expect((await snapshot()).has(gone)).toBe(false);
    expect(isProcessAlive(gone)).toBe(false);
  });

  it.each([0, -1, -process.pid, 1.5, Number.NaN, Infinity, -Infinity, 2 ** 31, 2 ** 53])(
    'reports no live process for %d',
    (pid) => {
      expect(isProcessAlive(pid)).toBe(false);
    },
  );

  it.each(['1', null, undefined, {}, true])('reports no live process for %j', (pid) => {
    expect(isProcessAlive(pid as never)).toBe(false);
  });

  it('counts a process as alive that it may not signal', async () => {
    const asNobody = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
    const { stdout } = await run(process.execPath, [IS_ALIVE, 'plain', '1', '0'], {
      cwd: '/',
      ...asNobody,
    });
    expect(JSON.parse(stdout)).toMatchObject({ looked: 'look resolved', alive: [true, false] });
  });

  it('calls no process dead when it has no file descriptor left', async () => {
    const script = 'ulimit -n 64; exec "$@"';
    const args = ['-c', script, 'sh', process.execPath, IS_ALIVE, 'exhausted', String(process.pid)];
    const { stdout } = await run('sh', args);
    expect(JSON.parse(stdout)).toEqual({
      looked: 'look rejected: EMFILE',
      reads: ['EMFILE'],
      alive: [true],
    });
  });

  it('shares one snapshot among all callers before it begins, and none that has begun', async () => {
    const [first, second] = [snapshot(), snapshot()];
    expect(second).toBe(first);
    await Promise.resolve();
    const third = snapshot();
    expect(third).not.toBe(first);
    expect(await third).not.toBe(await first);
  });
});
