// What cannot come to a daemon: a clear error, nothing left running, and nobody else touched.
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, vi } from 'vitest';
import { CAN_CONTAIN } from '../../../kit/containment.ts';
import {
  type DaemonRig,
  it,
  type LauncherOptions,
  PATIENCE,
  TIMEOUT_MS,
} from '../../../kit/daemons.ts';
import { eventually, isAlive, readRow } from '../../../kit/process-table.ts';
import { isUsual } from '../../../src/daemon/find.ts';
import { type DaemonOptions, ensureDaemon } from '../../../src/daemon/index.ts';
import { systemOs } from '../../../src/os/system.ts';

vi.setConfig({ testTimeout: TIMEOUT_MS });

const NOBODY = 65534;
const IS_ROOT = process.getuid?.() === 0;

/** What a refusal leaves: nothing that runs, no pid file of ours, and no lock. */
async function expectNothingLeft({ area, folder }: DaemonRig): Promise<void> {
  await eventually(() => area.tree().length === 0, { what: 'nothing is left running' });
  const names = readdirSync(folder);
  expect(names.filter((name) => /\.(lock|taken|tmp|aside)$/.test(name))).toEqual([]);
}

describe.runIf(CAN_CONTAIN)('ensureDaemon refuses', () => {
  const STARTS: readonly [string, LauncherOptions, string, RegExp][] = [
    [
      'a command that does not exist',
      { command: 'no-such-program' },
      'COMMAND_NOT_FOUND',
      /"test": command "no-such-program" was not found\. Install it/,
    ],
    [
      'a folder that does not exist',
      { cwd: '/no/such/folder' },
      'CWD_NOT_FOUND',
      /cwd "\/no\/such\/folder" is not a folder/,
    ],
    ['a command that is a folder', { command: '/tmp' }, 'SPAWN_FAILED', /could not be started/],
    ['a log file that is a folder', { logFile: '/tmp' }, 'INVALID_OPTIONS', /no ordinary file/],
  ];
  it.for(STARTS)('%s', async ([, options, code, message], { rig }) => {
    const result = await rig.ensure(rig.options({}, options));
    expect(result).toMatchObject({ code, message: expect.stringMatching(message) });
    await expectNothingLeft(rig);
    expect(existsSync(rig.pidFile)).toBe(false);
  });

  it('a daemon that ends before it is ready, with its last words but for the secrets', async ({
    rig,
  }) => {
    const result = await rig.ensure(rig.options({ exitCode: 3 }));
    const message = expect.stringMatching(/ended with exit code 3 before it was ready.*secret: /s);
    expect(result).toMatchObject({ code: 'SPAWN_FAILED', message });
    expect(result.message).not.toContain('abcdef123456');
    expect(result.ms).toBeLessThan(20_000);
    await expectNothingLeft(rig);
    expect(existsSync(rig.pidFile)).toBe(false);
  });

  const NEVER: readonly [string, object, Readonly<Record<string, unknown>>, string | undefined][] =
    [
      ['a check that throws', {}, { check: 'throws' }, 'Error: no such thing'],
      ['a check that rejects', {}, { check: 'rejects' }, 'Error: no such thing'],
      ['a check that never answers', {}, { check: 'never' }, undefined],
      ['a check that says no', {}, { check: 'false' }, undefined],
      ['a word that is never said', {}, { stdout: 'never said' }, undefined],
      ['a port where nobody listens', { listen: null }, {}, undefined],
      ['an address that answers 503', { status: 503 }, { url: 'PORT' }, undefined],
      [
        'a daemon that ignores SIGTERM',
        { ignores: ['SIGTERM'], run: false },
        { check: 'false' },
        undefined,
      ],
    ];
  it.for(NEVER)('%s', async ([, how, ready, cause], { rig }) => {
    const byPort = { port: rig.port };
    const byUrl = { url: `http://127.0.0.1:${rig.port}/` };
    const wish = 'url' in ready ? byUrl : Object.keys(ready).length === 0 ? byPort : ready;
    const options = rig.options(how, { ready: wish, bootMs: 3000 });
    const result = await rig.ensure(options);
    expect(result).toMatchObject({ code: 'READY_TIMEOUT', data: { name: 'test' } });
    expect(result.message).toMatch(/was not ready within 3000 ms: .* It was ended\./s);
    expect(result.cause).toBe(cause);
    await expectNothingLeft(rig);
    expect(existsSync(rig.pidFile)).toBe(false);
  });

  it('a port that a stranger holds, and names him', async ({ rig }) => {
    const stranger = createServer().listen(rig.port, '127.0.0.1');
    await once(stranger, 'listening');
    const result = await rig.ensure();
    expect(result).toMatchObject({
      code: 'ALREADY_RUNNING',
      message: expect.stringContaining(`held by pid ${process.pid} (`),
      data: { holders: [{ pid: process.pid }] },
    });
    expect(rig.entries('starts')).toEqual([]);
    await expectNothingLeft(rig);
    stranger.close();
  });

  it('a stranger who answers in the place of a daemon that lives', async ({ rig }) => {
    const stranger = createServer().listen(rig.port, '127.0.0.1');
    await once(stranger, 'listening');
    // It runs, but listens nowhere.
    const { pid } = await rig.ensured(rig.options({ listen: null }, { ready: { check: 'true' } }));
    const result = await rig.ensure(rig.options({}, { timeoutMs: 3000 }));
    expect(result).toMatchObject({ code: 'ALREADY_RUNNING', data: { pid } });
    expect(result.message).toContain(`(pid ${pid}) is not ready: port ${rig.port} is held by pid`);
    expect(rig.daemons()).toHaveLength(1);
    await rig.endDaemon();
    stranger.close();
  });

  it('a socket that a stranger holds', async ({ rig }) => {
    const path = join(rig.folder, 'app.sock');
    const stranger = createServer().listen(path);
    await once(stranger, 'listening');
    const result = await rig.ensure(rig.options({ listen: { path } }, { ready: { socket: path } }));
    expect(result).toMatchObject({
      code: 'ALREADY_RUNNING',
      data: { holders: [{ pid: process.pid }] },
    });
    expect(existsSync(path)).toBe(true);
    await expectNothingLeft(rig);
    stranger.close();
  });

  it('a daemon that lives and is not ready, and leaves it alone', async ({ rig }) => {
    const { pid } = await rig.ensured(rig.options({ listen: null }, { ready: { check: 'true' } }));
    const result = await rig.ensure(rig.options({}, { timeoutMs: 500 }));
    expect(result).toMatchObject({ code: 'READY_TIMEOUT', data: { pid } });
    expect(result.message).toContain('It was there before, and was left alone.');
    await rig.endDaemon();
  });

  it('an end that is asked for', async ({ rig }) => {
    const controller = new AbortController();
    const { ready: _, ...options } = rig.options({ listen: null });
    const env = { ...rig.area.env };
    const starting = ensureDaemon({
      ...(options as DaemonOptions),
      env,
      ready: { port: rig.port },
      signal: controller.signal,
    });
    await eventually(() => rig.entries('starts').length === 1, PATIENCE);
    controller.abort(new Error('enough'));
    await expect(starting).rejects.toMatchObject({ code: 'ABORTED', cause: new Error('enough') });
    await expectNothingLeft(rig);
    const never = ensureDaemon({
      ...(options as DaemonOptions),
      ready: { port: rig.port },
      signal: AbortSignal.abort(),
    });
    await expect(never).rejects.toMatchObject({ code: 'ABORTED' });
  });
});

describe.runIf(CAN_CONTAIN)('a pid file that', () => {
  const UNUSABLE: readonly [string, (path: string) => void, RegExp][] = [
    ['is a folder', (path) => mkdirSync(path), /it is a folder/],
    ['is a symbolic link', (path) => symlinkSync('/dev/null', path), /it is a symbolic link/],
  ];
  it.for(UNUSABLE)('%s is refused and left alone', async ([, make, reason], { rig }) => {
    make(rig.pidFile);
    const result = await rig.ensure();
    expect(result).toMatchObject({ code: 'INVALID_OPTIONS', data: { field: 'pidFile' } });
    expect(result.message).toMatch(reason);
    expect(rig.entries('starts')).toEqual([]);
    await expectNothingLeft(rig);
    expect(existsSync(rig.pidFile)).toBe(true);
  });

  it.runIf(IS_ROOT)("is another user's is refused and left alone", async ({ rig }) => {
    writeFileSync(rig.pidFile, '{}');
    chownSync(rig.pidFile, NOBODY, NOBODY);
    const result = await rig.ensure();
    expect(result).toMatchObject({ code: 'INVALID_OPTIONS' });
    expect(result.message).toContain(`it belongs to uid ${NOBODY}`);
    await expectNothingLeft(rig);
  });

  it('lies where nothing can be written is refused before anything is started', async ({ rig }) => {
    const result = await rig.ensure(rig.options({}, { pidFile: '/proc/daemon/test.pid' }));
    expect(result).toMatchObject({ code: 'STATE_DIR_UNSAFE' });
    writeFileSync(rig.diary, '');
    const inFile = await rig.ensure(rig.options({}, { pidFile: `${rig.diary}/test.pid` }));
    expect(inFile).toMatchObject({ code: 'STATE_DIR_UNSAFE' });
  });

  it.runIf(IS_ROOT)(
    'lies in a folder of others is refused, without a lock too',
    async ({ rig }) => {
      chmodSync(rig.area.folder, 0o777);
      chmodSync(rig.scripts, 0o755);
      chmodSync(rig.folder, 0o755);
      const launcher = rig.start(rig.options(), {
        through: ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'],
      });
      expect(await launcher.result).toMatchObject({ code: 'STATE_DIR_UNSAFE' });
      expect(rig.entries('starts')).toEqual([]);
    },
  );

  it.runIf(IS_ROOT)('is stale where nothing can be written is refused', async ({ rig }) => {
    for (const folder of [rig.area.folder, rig.scripts, rig.folder]) chmodSync(folder, 0o755);
    const file = { version: 1, ...systemOs().identify(), startTime: '1' };
    writeFileSync(rig.pidFile, JSON.stringify(file));
    chownSync(rig.pidFile, NOBODY, NOBODY);
    const launcher = rig.start(rig.options(), {
      through: ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'],
    });
    expect(await launcher.result).toMatchObject({ code: 'STATE_DIR_UNSAFE' });
  });

  const CORRUPT: readonly [string, (path: string) => void][] = [
    ['is empty', (path) => writeFileSync(path, '')],
    ['is a bare number', (path) => writeFileSync(path, `${process.pid}\n`)],
    ['is noise', (path) => writeFileSync(path, '{"version":1,')],
    [
      'is of 1 GB',
      (path) => {
        writeFileSync(path, '{');
        truncateSync(path, 2 ** 30);
      },
    ],
  ];
  it.for(CORRUPT)('%s is moved aside, and the daemon starts', async ([, make], { rig }) => {
    make(rig.pidFile);
    expect(await rig.ensured()).toMatchObject({ started: true });
    expect(existsSync(`${rig.pidFile}.corrupt`)).toBe(true);
    await rig.endDaemon();
  });

  const UNJUDGED = [
    ['another machine', { machine: 'another', bootId: 'another' }],
    ['another PID namespace', { pidNamespace: 'pid:[1]' }],
  ] as const;
  it.for(UNJUDGED)('is of %s starts no second daemon', async ([, change], { rig }) => {
    const file = { version: 1, ...systemOs().identify(), ...change };
    writeFileSync(rig.pidFile, JSON.stringify(file));
    const result = await rig.ensure();
    expect(result).toMatchObject({ code: 'ALREADY_RUNNING', data: { pid: process.pid } });
    expect(result.message).toContain('it is of another machine or PID namespace');
    expect(rig.entries('starts')).toEqual([]);
    await expectNothingLeft(rig);
  });

  it('has lost its start time makes a doubt of whoever has the pid', async ({ rig }) => {
    const innocent = rig.area.canary();
    const { startTime: _, ...self } = systemOs().identify();
    writeFileSync(rig.pidFile, JSON.stringify({ version: 1, ...self, pid: innocent.pid }));
    expect(await rig.ensure()).toMatchObject({ code: 'ALREADY_RUNNING' });
    expect(isAlive(innocent)).toBe(true);
    // Nobody is no doubt.
    writeFileSync(rig.pidFile, JSON.stringify({ version: 1, ...self, pid: 4_194_303 }));
    expect(readRow(4_194_303)).toBeUndefined();
    expect(await rig.ensured()).toMatchObject({ started: true });
    await rig.endDaemon();
  });
});

describe('options', () => {
  const GOOD: DaemonOptions = {
    name: 'test',
    command: 'node',
    pidFile: '/nowhere/test.pid',
    ready: { port: 8080 },
  };
  const BAD: readonly [object, string][] = [
    [{ name: undefined }, 'name'],
    [{ name: '' }, 'name'],
    [{ command: undefined }, 'command'],
    [{ command: '' }, 'command'],
    [{ command: 'x\0' }, 'command'],
    [{ args: 'x' }, 'args'],
    [{ args: ['a', 1] }, 'args[1]'],
    [{ env: { A: 1 } }, 'env.A'],
    [{ env: { '': 'x' } }, 'env'],
    [{ cwd: '' }, 'cwd'],
    [{ pidFile: '' }, 'pidFile'],
    [{ pidFile: 7 }, 'pidFile'],
    [{ ready: undefined }, 'ready'],
    [{ ready: {} }, 'ready'],
    [{ ready: { port: 0 } }, 'ready.port'],
    [{ ready: { port: 65_536 } }, 'ready.port'],
    [{ ready: { port: '80' } }, 'ready.port'],
    [{ ready: { port: 80, url: 'http://x/' } }, 'ready'],
    [{ ready: { url: 'ftp://x/' } }, 'ready.url'],
    [{ ready: { url: 'nonsense' } }, 'ready.url'],
    [{ ready: { socket: '' } }, 'ready.socket'],
    [{ ready: { check: true } }, 'ready.check'],
    [{ ready: { stdout: 'x' } }, 'ready.stdout'],
    [{ ready: { host: 'x', url: 'http://x/' } }, 'ready.host'],
    [{ ready: { ports: 1 } }, 'ready.ports'],
    [{ ready: { stdout: /x/ }, logFile: null }, 'logFile'],
    [{ version: '' }, 'version'],
    [{ version: 1 }, 'version'],
    [{ logFile: '' }, 'logFile'],
    [{ timeoutMs: -1 }, 'timeoutMs'],
    [{ timeoutMs: Number.NaN }, 'timeoutMs'],
    [{ bootMs: -1 }, 'bootMs'],
    [{ bootMs: '60' }, 'bootMs'],
    [{ logMaxBytes: 0 }, 'logMaxBytes'],
    [{ logMaxBytes: 1.5 }, 'logMaxBytes'],
    [{ logMaxBytes: '1' }, 'logMaxBytes'],
    [{ signal: {} }, 'signal'],
    [{ detached: false }, 'detached'],
  ];
  it.for(BAD)('%j are refused at "%s"', async ([change, field], { expect }) => {
    const options = { ...GOOD, ...change } as DaemonOptions;
    expect(isUsual(options)).toBe(false);
    await expect(ensureDaemon(options)).rejects.toMatchObject({
      code: 'INVALID_OPTIONS',
      message: expect.stringContaining(field),
      data: { field },
    });
  });

  it.for([undefined, null, 1, 'x', []] as const)('%j are none', async (options, { expect }) => {
    await expect(ensureDaemon(options as never)).rejects.toMatchObject({ code: 'INVALID_OPTIONS' });
  });

  const USUAL: readonly (readonly [what: string, change: object])[] = [
    ['nothing more', {}],
    [
      'no arguments, a folder and no log file',
      { args: [], cwd: '/', version: '1', logFile: null, timeoutMs: 0, bootMs: 0 },
    ],
    [
      'arguments, a log file and a signal',
      { args: ['', '--x'], logFile: 'x', timeoutMs: 1e12, signal: new AbortController().signal },
    ],
    ["the host's environment", { env: process.env, version: undefined }],
    ['a port', { ready: { port: 1, host: 'localhost' } }],
    ['a URL', { ready: { url: 'https://localhost/x' } }],
    ['a socket', { ready: { socket: '/x' } }],
    ['an abstract socket', { ready: { socket: '\0x' } }],
    ['a check', { ready: { check: () => true } }],
    ['a large log file', { logMaxBytes: 1 }],
    ['a log file of any size', { logMaxBytes: null }],
    ['a line of output', { ready: { stdout: /x/g } }],
  ];
  it.for(USUAL)('%s pass the long way, too', async ([, change], { expect }) => {
    const { checkDaemonOptions } = await import('../../../src/daemon/schema.ts');
    expect(() => checkDaemonOptions({ ...GOOD, ...change } as DaemonOptions)).not.toThrow();
    expect(isUsual({ ...GOOD, ...change } as DaemonOptions)).toBe(
      JSON.stringify(change) !== '{"ready":{"socket":"\\u0000x"}}',
    );
  });
});
