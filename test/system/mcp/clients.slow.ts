// The SDK's real clients, 1.x and 2.x, with this transport; and the processes that their own leaves.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Client as Client2 } from '@modelcontextprotocol/client';
import { StdioClientTransport as Stdio2 } from '@modelcontextprotocol/client/stdio';
import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport as Stdio1 } from '@modelcontextprotocol/sdk/client/stdio.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { afterEach, describe, expect, vi } from 'vitest';
import { MCP_SERVER } from '../../../kit/mcp.ts';
import {
  endByMarker,
  environmentOf,
  eventually,
  findByMarker,
} from '../../../kit/process-table.ts';
import { MARKER } from '../../../kit/scenarios.ts';
import { it as base, CAN_WATCH } from '../../../kit/supervised.ts';
import type { ExitReport } from '../../../src/index.ts';
import { safeNames } from '../../../src/mcp/environment.ts';
import { SupervisedStdioTransport } from '../../../src/mcp/index.ts';
import { COOKIE_VARIABLE } from '../../../src/os/os.ts';

/** The methods of both clients. */
interface AnyClient {
  onclose?: (() => void) | undefined;
  onerror?: ((error: Error) => void) | undefined;
  connect(transport: Transport): Promise<void>;
  listTools(): Promise<{ tools: { name: string }[] }>;
  callTool(call: { name: string; arguments?: Record<string, unknown> }): Promise<unknown>;
  close(): Promise<void>;
}

const INFO = { name: 'test', version: '1.0.0' };
const SDKS = [
  { sdk: '1.x', Client: Client1, Theirs: Stdio1 },
  { sdk: '2.x', Client: Client2, Theirs: Stdio2 },
] as const;
const MEMORY_SERVER = createRequire(import.meta.url).resolve(
  '@modelcontextprotocol/server-memory/dist/index.js',
);

const it = base
  .extend('supervisor', ({ supervise }) =>
    supervise({ ladder: { stdinEofMs: 200, termMs: 500, killMs: 1000 } }),
  )
  .extend('server', ({ marker, home }) => (...args: string[]) => ({
    command: process.execPath,
    args,
    stderr: 'ignore' as const,
    env: { [MARKER]: marker, MEMORY_FILE_PATH: join(home, 'memory.jsonl') },
  }))
  .extend(
    'alive',
    ({ marker }) =>
      () =>
        findByMarker(MARKER, marker).map(({ args }) => args[2]),
  );

afterEach(() => void vi.unstubAllEnvs());

describe.runIf(CAN_WATCH).for(SDKS)('a client of the SDK $sdk', ({ Client, Theirs }) => {
  const makeClient = (): AnyClient => new Client(INFO) as unknown as AnyClient;

  it('lists and calls the tools of a published server, which is dead after close()', async ({
    supervisor,
    server,
    alive,
    marker,
  }) => {
    vi.stubEnv('PLANTED_SECRET', 'x');
    const transport = new SupervisedStdioTransport({ ...server(MEMORY_SERVER), supervisor });
    const client = makeClient();
    const errors: Error[] = [];
    client.onerror = (error) => errors.push(error);
    await client.connect(transport);
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name)).toContain('read_graph');
    const entities = [{ name: 'Zürich', entityType: 'city', observations: ['€ 😀'] }];
    await client.callTool({ name: 'create_entities', arguments: { entities } });
    const graph = await client.callTool({ name: 'read_graph', arguments: {} });
    expect(graph).toMatchObject({ structuredContent: { entities, relations: [] } });

    const [running] = findByMarker(MARKER, marker);
    const names = running && environmentOf(running).map((line) => line.replace(/=.*/s, ''));
    const ours = [COOKIE_VARIABLE, MARKER, 'MEMORY_FILE_PATH'];
    // Node passes this one on by itself when coverage is measured.
    const allowed = [...safeNames('linux'), ...ours, 'NODE_V8_COVERAGE'];
    expect(allowed).toEqual(expect.arrayContaining(names ?? []));
    expect(names).toContain('PATH');

    let closes = 0;
    client.onclose = () => {
      closes += 1;
    };
    await client.close();
    expect(alive()).toEqual([]);
    expect(closes).toBe(1);
    expect(errors).toEqual([]);
    expect(await transport.process?.exited).toMatchObject({
      kind: 'mcp-server',
      cause: 'terminated',
      stderrTail: expect.stringContaining('running on stdio'),
    });
  });

  it('ends a stubborn server and its stubborn child in close()', async ({
    supervisor,
    server,
    alive,
  }) => {
    const client = makeClient();
    await client.connect(
      new SupervisedStdioTransport({ ...server(MCP_SERVER, 'stubborn', '--child'), supervisor }),
    );
    await useAndSeeBoth(client, alive);
    await client.close();
    expect(alive()).toEqual([]);
  });

  it("leaves the child with the SDK's own transport (control)", async ({
    server,
    alive,
    marker,
  }) => {
    const client = makeClient();
    await client.connect(new Theirs(server(MCP_SERVER, 'stubborn', '--child')));
    await useAndSeeBoth(client, alive);
    await client.close();
    await eventually(() => !alive().includes('stubborn'), { what: 'the server itself is gone' });
    const left = alive();
    await endByMarker(MARKER, marker);
    expect(left).toEqual(['child']);
  });

  it('throws in connect(), and the server and its child are dead', async ({
    supervisor,
    server,
    alive,
  }) => {
    const stubborn = server(MCP_SERVER, 'stubborn', '--child', '--ancient');
    const transport = new SupervisedStdioTransport({ ...stubborn, supervisor });
    await expect(makeClient().connect(transport)).rejects.toThrow('protocol version');
    await transport.close();
    expect(alive()).toEqual([]);
  });

  it("throws in connect() with the SDK's own transport, and leaves the child (control)", async ({
    server,
    alive,
    marker,
  }) => {
    const transport = new Theirs(server(MCP_SERVER, 'stubborn', '--child', '--ancient'));
    await expect(makeClient().connect(transport)).rejects.toThrow('protocol version');
    await eventually(() => alive().join() === 'child', { what: 'the child alone is left' });
    await endByMarker(MARKER, marker);
  });

  it('is notified of the death of its server', async ({ supervisor, server, alive }) => {
    const transport = new SupervisedStdioTransport({ ...server(MCP_SERVER, 'polite'), supervisor });
    const client = makeClient();
    await client.connect(transport);
    const closed = new Promise<void>((resolve) => {
      client.onclose = resolve;
    });
    transport.process?.kill('SIGKILL');
    await closed;
    await expect(client.listTools()).rejects.toThrow(/not connected/i);
    expect(await transport.process?.exited).toMatchObject({ signal: 'SIGKILL' });
    expect(alive()).toEqual([]);
  });

  it('is closed when its session is reaped', async ({ supervisor, server }) => {
    const parameters = { ...server(MCP_SERVER, 'stubborn'), supervisor, sessionId: 'mine' };
    const client = makeClient();
    await client.connect(new SupervisedStdioTransport(parameters));
    const closed = new Promise<void>((resolve) => {
      client.onclose = resolve;
    });
    const { ended, survivors } = await supervisor.reapSession('mine');
    expect(ended).toMatchObject([{ kind: 'mcp-server', cause: 'reaped' }]);
    expect(survivors).toEqual([]);
    await closed;
  });

  it('can connect again after a failed start', async ({ supervisor, server }) => {
    const client = makeClient();
    const missing = { command: '/no/such/server', supervisor };
    await expect(client.connect(new SupervisedStdioTransport(missing))).rejects.toMatchObject({
      code: 'COMMAND_NOT_FOUND',
    });
    await client.connect(
      new SupervisedStdioTransport({ ...server(MCP_SERVER, 'polite'), supervisor }),
    );
    await client.close();
  });

  it('shares a service with the next one', async ({ supervisor, server, marker }) => {
    const { command, args, env } = server(MEMORY_SERVER);
    const shared = supervisor.spawn({ command, args, env, kind: 'service' });
    for (let turn = 0; turn < 2; turn++) {
      const client = makeClient();
      await client.connect(
        new SupervisedStdioTransport({ service: { ensure: async () => shared } }),
      );
      expect(await client.callTool({ name: 'read_graph', arguments: {} })).toMatchObject({
        structuredContent: { entities: [] },
      });
      await client.close();
      expect(findByMarker(MARKER, marker)).toMatchObject([{ pid: shared.pid }]);
    }
  });
});

describe.runIf(CAN_WATCH)('a client of the SDK 2.x that negotiates', () => {
  const negotiating = () => new Client2(INFO, { versionNegotiation: { mode: 'auto' } });

  it('probes a server that is supervised, and dead before the other starts', async ({
    supervisor,
    server,
    alive,
  }) => {
    const pids: number[] = [];
    supervisor.on('started', ({ pid }) => pids.push(pid));
    const client = negotiating();
    const transport = new SupervisedStdioTransport({
      ...server(MCP_SERVER, 'polite', '--strict'),
      supervisor,
    });
    await client.connect(transport);
    expect((await client.listTools()).tools).toHaveLength(1);
    expect(pids).toEqual([expect.any(Number), transport.pid]);
    expect(alive()).toEqual(['polite']);
    await client.close();
  });

  it('does not wait for the whole ladder of a probed server', async ({ supervise, server }) => {
    const supervisor = supervise({ ladder: { stdinEofMs: 20_000, termMs: 20_000, killMs: 1000 } });
    const asked = new Promise<ExitReport>((resolve) => void supervisor.on('exited', resolve));
    const transport = new SupervisedStdioTransport({
      ...server(MCP_SERVER, 'stubborn'),
      supervisor,
    });
    await negotiating().connect(transport);
    const { forced, durationMs, pid } = await asked;
    expect(forced).toBe(true);
    expect(durationMs).toBeLessThan(20_000);
    expect(pid).not.toBe(transport.pid);
    await transport.process?.terminate({ force: true });
  });

  it('probes the server itself with another transport, and this server does not survive it (control)', async ({
    supervisor,
    server,
    alive,
  }) => {
    class Other extends SupervisedStdioTransport {}
    const transport = new Other({ ...server(MCP_SERVER, 'polite', '--strict'), supervisor });
    await expect(negotiating().connect(transport)).rejects.toThrow('Version negotiation failed');
    await transport.close();
    expect(alive()).toEqual([]);
  });
});

async function useAndSeeBoth(client: AnyClient, alive: () => unknown[]): Promise<void> {
  expect((await client.listTools()).tools).toMatchObject([{ name: 'ping' }]);
  expect(await client.callTool({ name: 'ping' })).toMatchObject({ content: [{ text: 'pong' }] });
  await eventually(() => alive().sort().join() === 'child,stubborn', { what: 'both stand' });
}
