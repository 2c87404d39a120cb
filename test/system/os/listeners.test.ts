// Finding listeners, with real sockets of real processes.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endByMarker } from '../../../kit/process-table.ts';
import { darwinListeners, windowsListeners } from '../../../src/os/listeners.ts';
import type { Endpoint } from '../../../src/os/os.ts';
import { systemOs } from '../../../src/os/system.ts';

const MARKER = 'AGENT_SUPERVISOR_LISTENERS_TEST';
const NOBODY = 65534;

/** Listens as its argument says, reports the address, and exits by itself eventually. */
const LISTEN = `
const server = require('node:net').createServer((peer) => peer.on('error', () => {}));
server.listen(JSON.parse(process.argv[1]), () => console.log(JSON.stringify(server.address())));
setTimeout(() => process.exit(), 60_000);`;

/** Listens together with a child. */
const SHARE = `
setTimeout(() => process.exit(), 60_000);
if (process.send) process.on('message', (port, server) => process.send(server ? 'have it' : ''));
else {
  const child = require('node:child_process').fork(__filename);
  const server = require('node:net').createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    child.once('message', () => console.log(JSON.stringify({ port, pids: [process.pid, child.pid] })));
    child.send('take it', server);
  });
}`;

const find = (endpoint: Endpoint, among?: readonly number[]) =>
  systemOs().listeners?.(endpoint, among);

describe.runIf(process.platform === 'linux')('on Linux', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'agent-supervisor-listeners-'));
  });
  afterAll(async () => {
    const leaked = await endByMarker(MARKER, folder);
    rmSync(folder, { recursive: true, force: true });
    expect(leaked, 'alive after the tests').toEqual([]);
  });

  it('finds each of many: more than the kernel returns in one read', async () => {
    const servers = Array.from({ length: 120 }, () => createServer().listen(0, '127.0.0.1'));
    await Promise.all(servers.map((server) => once(server, 'listening')));
    try {
      for (const server of servers) {
        const { port } = server.address() as AddressInfo;
        expect(await find({ port }, [process.pid])).toMatchObject([{ pid: process.pid }]);
      }
    } finally {
      for (const server of servers) server.close();
    }
  });

  /** A child that listens until `test` is over. */
  async function whileListening(
    how: object,
    test: (listener: { readonly pid: number; readonly port: number }) => Promise<void>,
    { cwd = folder, uid }: { cwd?: string; uid?: number } = {},
  ): Promise<void> {
    const child: ChildProcess = spawn(process.execPath, ['-e', LISTEN, JSON.stringify(how)], {
      cwd,
      env: { [MARKER]: folder },
      stdio: ['ignore', 'pipe', 'inherit'],
      ...(uid === undefined ? {} : { uid, gid: uid }),
    });
    const exited = once(child, 'exit');
    try {
      const [line] = await once(child.stdout as NodeJS.ReadableStream, 'data');
      await test({ pid: child.pid ?? 0, port: JSON.parse(String(line)).port });
    } finally {
      child.kill('SIGKILL');
      await exited;
    }
  }

  const uid = process.getuid?.();

  it.each(['127.0.0.1', '0.0.0.0', '::1', '::'])('finds the listener at %s', async (host) => {
    await whileListening({ port: 0, host }, async ({ pid, port }) => {
      const listener = { pid, command: 'node', uid };
      expect(await find({ port })).toEqual([listener]);
      expect(await find({ port }, [pid, process.pid])).toEqual([listener]);
      // The listener is not among the given pids.
      expect(await find({ port }, [process.pid])).toEqual([{ pid: undefined, command: '', uid }]);
    });
  });

  it('ignores a listener at another address, unless it is asked for', async () => {
    await whileListening({ port: 0, host: '127.0.0.2' }, async ({ pid, port }) => {
      expect(await find({ port })).toEqual([]);
      expect(await find({ port, host: '127.0.0.2' })).toMatchObject([{ pid }]);
    });
  });

  it('does not count a connection as a listener', async () => {
    await whileListening({ port: 0, host: '127.0.0.1' }, async ({ pid, port }) => {
      const client = connect({ port, host: '127.0.0.1' });
      await once(client, 'connect');
      expect(await find({ port })).toMatchObject([{ pid }]);
      expect(await find({ port: client.localPort ?? 0 })).toEqual([]);
      client.destroy();
    });
  });

  it('finds a socket by its path, by a relative one, and through a link', async () => {
    const socket = join(folder, 'fünf app.sock');
    symlinkSync(folder, join(folder, 'link'));
    for (const path of [socket, 'fünf app.sock', join(folder, 'link', 'fünf app.sock')]) {
      await whileListening({ path }, async ({ pid }) => {
        rmSync(`${socket}.gone`, { force: true });
        const expected = [{ pid, command: 'node', uid: undefined }];
        expect(await find({ socket }), path).toEqual(expected);
        expect(await find({ socket: `${socket}.gone` })).toEqual([]);
        expect(await find({ socket }, [process.pid])).toMatchObject([{ pid: undefined }]);
      });
      rmSync(socket, { force: true });
    }
  });

  it('finds an abstract socket', async () => {
    const socket = `\0agent-supervisor-${process.pid}`;
    await whileListening({ path: socket }, async ({ pid }) => {
      expect(await find({ socket })).toMatchObject([{ pid }]);
      expect(await find({ socket: `${socket}x` })).toEqual([]);
    });
  });

  it('finds all processes that hold one socket', async () => {
    const script = join(folder, 'share.cjs');
    writeFileSync(script, SHARE);
    const child = spawn(process.execPath, [script], {
      env: { [MARKER]: folder },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = await once(child.stdout, 'data');
    const { port, pids } = JSON.parse(String(line));
    const found = await find({ port });
    expect(found?.map(({ pid }) => pid).sort()).toEqual(pids.sort());
    await endByMarker(MARKER, folder);
  });

  it.runIf(uid === 0)(
    "tells the owner of a socket where another user's descriptors are hidden",
    async () => {
      // To an ordinary user, root's descriptors are hidden.
      await whileListening({ port: 0, host: '127.0.0.1' }, async ({ port }) => {
        const seen = spawnSync(
          process.execPath,
          [join(import.meta.dirname, '../../fixtures/hosts/listeners.ts'), String(port)],
          { uid: NOBODY, gid: NOBODY, cwd: '/', encoding: 'utf8' },
        );
        expect(JSON.parse(seen.stdout)).toEqual([{ command: '', uid: 0 }]);
      });
    },
  );

  it.each([0, -1, 1.5, 65_536, Number.NaN])('finds no listener at port %d', async (port) => {
    expect(await find({ port })).toEqual([]);
  });

  it('finds no listener among pids that are gone', async () => {
    expect(await find({ port: 1 }, [2 ** 22 - 1])).toEqual([]);
  });

  it("returns undefined, not an empty list, where other systems' tools are missing", async () => {
    expect(await darwinListeners({ port: 8080 })).toBeUndefined();
    expect(await windowsListeners({ port: 8080 })).toBeUndefined();
    expect(await windowsListeners({ socket: '//./pipe/x' })).toBeUndefined();
  });
});

describe.skipIf(process.platform === 'linux')('elsewhere', () => {
  it('finds a listener, and none where there is none', async () => {
    const child = spawn(process.execPath, ['-e', LISTEN, '{"port":0,"host":"127.0.0.1"}'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = await once(child.stdout, 'data');
    const { port } = JSON.parse(String(line));
    expect(await find({ port })).toMatchObject([{ pid: child.pid }]);
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
    expect(await find({ port })).toEqual([]);
  }, 60_000);
});
