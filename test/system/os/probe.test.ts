// Connections to real sockets of this process, and to endpoints without one.
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { runHost } from '../../../kit/host.ts';
import { LINGER_MS } from '../../../kit/start-program.ts';
import { answersOk, canConnect } from '../../../src/os/probe.ts';

/** Long enough for any answer that comes. */
const PATIENCE_MS = 5000;

const servers: Server[] = [];
const peers = new Set<Socket>();
afterEach(async () => {
  for (const peer of peers) peer.destroy();
  await Promise.all(servers.splice(0).map((server) => new Promise((done) => server.close(done))));
});

async function listen(server: Server, how: object = { port: 0, host: '127.0.0.1' }) {
  servers.push(server);
  server.on('connection', (peer: Socket) => {
    peers.add(peer);
    peer.on('error', () => undefined).once('close', () => peers.delete(peer));
  });
  server.listen(how);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listen(server);
  await new Promise((done) => servers.pop()?.close(done));
  return port;
}

describe('canConnect', () => {
  it.each(['127.0.0.1', '::1', '::'])('finds a listener at %s without a host', async (host) => {
    const port = await listen(createServer(), { port: 0, host });
    expect(await canConnect({ port }, PATIENCE_MS)).toBe(true);
  });

  it('tries only the given host', async () => {
    const port = await listen(createServer());
    expect(await canConnect({ port, host: '127.0.0.1' }, PATIENCE_MS)).toBe(true);
    expect(await canConnect({ port, host: '::1' }, PATIENCE_MS)).toBe(false);
  });

  it('finds no listener on a free port', async () => {
    expect(await canConnect({ port: await freePort() }, PATIENCE_MS)).toBe(false);
  });

  it.each([-1, 0, 65_536, 1.5, Number.NaN])('cannot connect to port %d', async (port) => {
    expect(await canConnect({ port }, PATIENCE_MS)).toBe(false);
  });

  it.runIf(process.platform === 'linux')('tells a socket from other files', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'agent-supervisor-probe-'));
    const socket = join(folder, 'app.sock');
    await listen(createServer(), { path: socket });
    await listen(createServer(), { path: `\0${socket}` });
    writeFileSync(join(folder, 'file'), '');
    expect(await canConnect({ socket }, PATIENCE_MS)).toBe(true);
    expect(await canConnect({ socket: `\0${socket}` }, PATIENCE_MS)).toBe(true);
    const none = [join(folder, 'file'), join(folder, 'gone'), folder, '', 'x'.repeat(5000)];
    for (const path of none) expect(await canConnect({ socket: path }, PATIENCE_MS)).toBe(false);
    rmSync(folder, { recursive: true });
  });

  it('gives up on an address that never answers', async () => {
    // TEST-NET-1: no route leads there, or nothing comes back.
    expect(await canConnect({ port: 80, host: '192.0.2.1' }, 50)).toBe(false);
  });
});

describe('answersOk', () => {
  const serve = async (answer: RequestListener) =>
    `http://127.0.0.1:${await listen(createHttpServer(answer))}/health`;

  it.each([
    [200, true],
    [204, true],
    [299, true],
    [301, false],
    [404, false],
    [500, false],
  ])('status %d: %s', async (status, expected) => {
    const url = await serve((_, res) => res.writeHead(status, { location: '/ok' }).end());
    expect(await answersOk(url, PATIENCE_MS)).toBe(expected);
  });

  it('follows no redirect', async () => {
    const asked: (string | undefined)[] = [];
    const url = await serve((req, res) => {
      asked.push(req.url);
      res.writeHead(req.url === '/health' ? 302 : 200, { location: '/ok' }).end();
    });
    expect(await answersOk(url, PATIENCE_MS)).toBe(false);
    expect(asked).toEqual(['/health']);
  });

  it('waits for no body, and closes the connection', async () => {
    const closed = Promise.withResolvers<void>();
    const url = await serve((req, res) => {
      req.once('close', () => closed.resolve());
      res.writeHead(200).write('a');
    });
    expect(await answersOk(url, PATIENCE_MS)).toBe(true);
    await closed.promise;
  });

  it('gives up on a server that accepts the connection and sends nothing', async () => {
    const url = await serve(() => undefined);
    expect(await answersOk(url, 50)).toBe(false);
  });

  it.each([
    ['another protocol', 'SSH-2.0-x\r\n\r\n'],
    ['an upgrade', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n'],
    ['nothing', ''],
  ])('does not accept an answer of %s', async (_what, text) => {
    const port = await listen(createServer((peer) => peer.end(text)));
    expect(await answersOk(`http://127.0.0.1:${port}/`, PATIENCE_MS)).toBe(false);
  });

  it.each([
    '',
    'nonsense',
    'file:///etc/passwd',
    'ftp://127.0.0.1/',
    'http://',
    'https://127.0.0.1:1/',
  ])('does not send a request to %j', async (url) => {
    expect(await answersOk(url, PATIENCE_MS)).toBe(false);
  });
});

it('keeps no host alive once it has settled', async () => {
  const port = await listen(createServer());
  const silent = await listen(createServer());
  const { code, lines, lingeredMs } = await runHost('probe.ts', {
    args: [String(port), String(silent)],
    env: {},
  });
  expect({ code, lines }).toEqual({ code: 0, lines: ['true false false'] });
  expect(lingeredMs).toBeLessThan(LINGER_MS);
});
