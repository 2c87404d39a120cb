// A server that exits while its client still uses it: onerror gets the reason before onclose.

import { Client as Client2 } from '@modelcontextprotocol/client';
import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js';
import { describe, expect } from 'vitest';
import { note, record } from '../../../kit/mcp.ts';
import { MARKER } from '../../../kit/scenarios.ts';
import { it as base, CAN_WATCH } from '../../../kit/supervised.ts';
import { SupervisedStdioTransport } from '../../../src/mcp/index.ts';

const READY = `echo '${JSON.stringify(note('ready'))}'`;

const it = base
  .extend('supervisor', ({ supervise }) =>
    supervise({ ladder: { stdinEofMs: 200, termMs: 200, killMs: 1000 } }),
  )
  .extend('server', ({ supervisor, marker }) => (script: string, env = {}) => ({
    ...({ command: 'sh', args: ['-c', script], stderr: 'ignore', supervisor } as const),
    env: { [MARKER]: marker, ...env },
  }));

describe.runIf(CAN_WATCH)('a server that exits', () => {
  it.for([
    ['by its code', 'exit 3', 'exited with code 3', { code: 3, signal: null }],
    ['without an error', 'exit 0', 'exited with code 0', { code: 0, signal: null }],
    ['by a signal', 'kill -9 $$', 'was killed by SIGKILL', { code: null, signal: 'SIGKILL' }],
  ] as const)(
    '%s is reported to onerror before onclose',
    async ([, end, text, data], { server }) => {
      const { transport, errors, closed, closes } = record(server(`echo no key >&2; ${end}`));
      const order: string[] = [];
      const { onerror, onclose } = transport;
      transport.onerror = (error) => {
        order.push('error');
        onerror?.(error);
      };
      transport.onclose = () => {
        order.push('close');
        onclose?.();
      };
      await transport.start();
      await closed();
      expect(order).toEqual(['error', 'close']);
      expect(closes()).toBe(1);
      expect(errors).toMatchObject([{ code: 'SERVER_EXITED', data }]);
      expect(errors[0]?.message).toContain(text);
      expect(errors[0]?.message).toContain('no key');
    },
  );

  it('reports no secret of its environment', async ({ server }) => {
    const { transport, errors, closed } = record(
      server('echo "refused: $API_TOKEN" >&2; exit 1', { API_TOKEN: 'q7-hide-this-q7' }),
    );
    await transport.start();
    await closed();
    expect(errors[0]?.message).toContain('refused: ');
    expect(JSON.stringify([errors[0]?.message, errors])).not.toContain('q7-hide-this-q7');
  });

  it('by a reaped session reports the cause to onerror', async ({ server, supervisor }) => {
    const { transport, errors, heard, closed } = record({
      ...server(`${READY}; exec cat`),
      sessionId: 'mine',
    });
    await transport.start();
    await heard('ready');
    await supervisor.reapSession('mine');
    await closed();
    expect(errors).toMatchObject([{ code: 'SERVER_EXITED', data: { cause: 'reaped' } }]);
  });

  it('by close() reports nothing to onerror (control)', async ({ server }) => {
    const { transport, errors, heard, closes } = record(server(`${READY}; exec cat`));
    await transport.start();
    await heard('ready');
    await transport.close();
    expect(errors).toEqual([]);
    expect(closes()).toBe(1);
  });

  it('and leaves a stubborn child delays onclose by at most a second', async ({
    server,
    supervise,
  }) => {
    const supervisor = supervise({ ladder: { stdinEofMs: 200, termMs: 20_000, killMs: 1000 } });
    const child = `(trap '' TERM; exec >/dev/null 2>&1; while :; do sleep 1; done) &`;
    const { transport, errors, closed } = record({
      ...server(`${child} echo no key >&2; exit 3`),
      supervisor,
    });
    await transport.start();
    await closed();
    expect(errors).toMatchObject([{ code: 'SERVER_EXITED', data: { code: 3 } }]);
    expect(errors[0]?.message).toContain('process.exited');
    await transport.process?.terminate({ deadlineMs: 0 });
  });

  it.for([
    ['1.x', Client1],
    ['2.x', Client2],
  ] as const)(
    'at its start is reported to a client of the SDK %s',
    async ([, Client], { server }) => {
      const client = new Client({ name: 'example', version: '1' });
      const errors: Error[] = [];
      client.onerror = (error) => void errors.push(error);
      const transport = new SupervisedStdioTransport(server('read line; echo no key >&2; exit 3'));
      await expect(client.connect(transport as never)).rejects.toThrow();
      expect(errors.map(({ message }) => message).join()).toMatch(/code 3.*no key/s);
    },
  );
});
