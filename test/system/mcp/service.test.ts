// Transports for a running service: one after another, each with its own answers.
import { once } from 'node:events';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { describe, expect } from 'vitest';
import { MCP_SERVER, note, record } from '../../../kit/mcp.ts';
import { eventually, findByMarker } from '../../../kit/process-table.ts';
import { MARKER } from '../../../kit/scenarios.ts';
import { it as base, CAN_WATCH } from '../../../kit/supervised.ts';
import type { SupervisedProcess } from '../../../src/index.ts';
import { type JsonRpcMessage, SupervisedStdioTransport } from '../../../src/mcp/index.ts';
import { defineService } from '../../../src/service/index.ts';

const request = (id: number | string, method = 'ask'): JsonRpcMessage => ({
  jsonrpc: '2.0',
  id,
  method,
});
const answer = (id: number | string, result: object = {}): JsonRpcMessage => ({
  jsonrpc: '2.0',
  id,
  result,
});

const it = base
  .extend('server', async ({ supervise, marker }) => {
    const supervisor = supervise();
    await supervisor.start();
    return (script = 'exec cat'): SupervisedProcess =>
      supervisor.spawn({
        command: 'sh',
        args: ['-c', script],
        kind: 'service',
        env: { PATH: process.env['PATH'], [MARKER]: marker },
      });
  })
  .extend('attach', () => (server: SupervisedProcess, maxBufferSize?: number) => {
    return record({ service: { ensure: async () => server }, maxBufferSize });
  });

describe.runIf(CAN_WATCH)('a service', () => {
  it('is started by its first transport, and runs on after each', async ({ server, attach }) => {
    const process = server();
    const pids = [];
    for (const method of ['one', 'two']) {
      const { transport, heard, messages, closes, errors } = attach(process);
      await transport.start();
      pids.push(transport.pid);
      await transport.send(note(method));
      await heard(method);
      await transport.close();
      expect(messages).toEqual([note(method)]);
      expect(closes()).toBe(1);
      expect(errors).toEqual([]);
      expect(transport.pid).toBe(null);
      await expect(transport.send(note('late'))).rejects.toThrow('Not connected');
    }
    expect(pids).toEqual([process.pid, process.pid]);
    expect(process.exitCode).toBe(null);
  });

  it('has one transport at a time', async ({ server, attach }) => {
    const process = server();
    const [first, second, third] = [attach(process), attach(process), attach(process)];
    await first.transport.start();
    await expect(second.transport.start()).rejects.toMatchObject({
      code: 'ALREADY_RUNNING',
      data: { pid: process.pid },
    });
    expect(second.closes()).toBe(1);
    await second.transport.close();
    await first.transport.send(note('mine'));
    await first.heard('mine');
    await first.transport.close();
    await third.transport.start();
    await third.transport.close();
  });

  it('closes its transport when it exits', async ({ server, attach }) => {
    const process = server();
    const { transport, closed, closes } = attach(process);
    await transport.start();
    await process.terminate();
    await closed();
    await transport.close();
    expect(closes()).toBe(1);
    const late = attach(process);
    await late.transport.start();
    await late.closed();
    await expect(late.transport.send(note('late'))).rejects.toThrow('Not connected');
  });

  it('rejects start() when it cannot be started', async () => {
    const error = new Error('the breaker is open');
    const { transport, errors, closes } = record({
      service: { ensure: () => Promise.reject(error) },
    });
    await expect(transport.start()).rejects.toBe(error);
    expect(errors).toEqual([error]);
    expect(closes()).toBe(1);
  });

  it('is left running when it becomes ready after close()', async ({ server, attach }) => {
    const process = server();
    const { promise, resolve } = Promise.withResolvers<SupervisedProcess>();
    const { transport, closes } = record({ service: { ensure: () => promise } });
    const refused = expect(transport.start()).rejects.toMatchObject({ code: 'ABORTED' });
    await transport.close();
    expect(closes()).toBe(1);
    resolve(process);
    await refused;
    const next = attach(process);
    await next.transport.start();
    await next.transport.close();
    expect(process.exitCode).toBe(null);
  });

  it('gets a cancellation for each open request of a closed client, but not for initialize', async ({
    server,
    attach,
  }) => {
    const process = server();
    const { transport, heard } = attach(process);
    await transport.start();
    for (const id of [1, 2, 3]) await transport.send(request(id));
    await transport.send(request(0, 'initialize'));
    // The server echoes 1, which answers it. The client cancels 3 itself.
    await transport.send(answer(1));
    await transport.send(note('notifications/cancelled', { requestId: 3 }));
    await transport.send(note('last'));
    await heard('last');
    await transport.close();
    const next = attach(process);
    await next.transport.start();
    await next.heard('notifications/cancelled');
    await next.transport.send(note('after'));
    await next.heard('after');
    expect(next.messages).toMatchObject([
      { method: 'notifications/cancelled', params: { requestId: 2 } },
      { method: 'after' },
    ]);
    await next.transport.close();
  });

  it('does not send late answers for a closed client to the next one', async ({
    server,
    attach,
  }) => {
    // Answers nothing until it is told to.
    const process = server('until read -r line && [ "$line" = "$0" ]; do :; done; exec cat');
    const first = attach(process);
    await first.transport.start();
    await first.transport.send(request(0, 'initialize'));
    await first.transport.send(request(1));
    await first.transport.close();
    process.stdin.write('sh\n');

    const second = attach(process);
    await second.transport.start();
    // First the server's late answers, then those to the second client's own requests.
    for (const late of [answer(0, { of: 'first' }), answer(1, { of: 'first' })])
      process.stdin.write(`${JSON.stringify(late)}\n`);
    await second.transport.send(note('late ones are over'));
    await second.heard('late ones are over');
    expect(second.messages.filter(({ method }) => method === undefined)).toEqual([]);
    await second.transport.send(request(0));
    process.stdin.write(`${JSON.stringify(answer(0, { of: 'second' }))}\n`);
    await eventually(() => second.messages.some(({ result }) => result !== undefined));
    expect(second.messages.at(-1)).toEqual(answer(0, { of: 'second' }));
    await second.transport.close();
  });

  it('may be in the middle of a line when a transport attaches or detaches', async ({
    server,
    attach,
  }) => {
    const process = server();
    const line = JSON.stringify(note('torn'));
    const first = attach(process);
    await first.transport.start();
    process.stdin.write(line.slice(0, 9));
    await once(process.stdout, 'data');
    await first.transport.close();
    const second = attach(process);
    await second.transport.start();
    process.stdin.write(`${line.slice(9)}\n`);
    await second.heard('torn');
    expect(second.errors).toEqual([]);
    await second.transport.close();
  });

  it('may send a message that is too long for one client, and not for the next', async ({
    server,
    attach,
  }) => {
    const process = server();
    const first = attach(process, 100);
    await first.transport.start();
    const long = note('long', { text: 'x'.repeat(1000) });
    await first.transport.send(long);
    await first.closed();
    expect(first.errors).toMatchObject([{ message: expect.stringContaining('than 100 bytes') }]);
    const second = attach(process);
    await second.transport.start();
    await second.transport.send(long);
    expect(await second.heard('long')).toEqual(long);
    await second.transport.close();
  });

  it('is read even when another reader has set an encoding', async ({ server, attach }) => {
    const process = server();
    process.stdout.setEncoding('utf8');
    const { transport, heard } = attach(process);
    await transport.start();
    await transport.send(note('ä€😀'));
    await heard('ä€😀');
    await transport.close();
  });
});

describe.runIf(CAN_WATCH)('a service of defineService', () => {
  it("answers the SDK's client, dies, and answers the next client", async ({
    supervise,
    marker,
  }) => {
    const supervisor = supervise();
    const service = defineService(supervisor, {
      name: 'rig',
      command: process.execPath,
      args: [MCP_SERVER, 'stubborn', '--child'],
      env: { PATH: process.env['PATH'], [MARKER]: marker },
      restart: { backoffMs: 10 },
    });
    const connect = async () => {
      const client = new Client({ name: 'test', version: '1.0.0' });
      const transport = new SupervisedStdioTransport({ service });
      const closed = new Promise<void>((resolve) => {
        client.onclose = resolve;
      });
      await client.connect(transport);
      const { tools } = await client.listTools();
      expect(tools.map(({ name }) => name)).toEqual(['ping']);
      return { client, closed, pid: transport.pid };
    };
    const first = await connect();
    await first.client.close();
    const second = await connect();
    expect(second.pid).toBe(first.pid);
    process.kill(second.pid ?? 0, 'SIGKILL');
    await second.closed;
    const third = await connect();
    expect(third.pid).not.toBe(second.pid);
    await third.client.close();
    expect(findByMarker(MARKER, marker).length).toBeGreaterThan(0);
    await service.close();
    expect(findByMarker(MARKER, marker)).toEqual([]);
  });
});
