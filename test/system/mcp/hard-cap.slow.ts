// MCP servers and services beside agents, at the default hard cap and at one that is named.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { describe, expect } from 'vitest';
import { it as base, CAN_WATCH } from '../../../kit/supervised.ts';
import type { Supervisor, SupervisorOptions } from '../../../src/index.ts';
import { SupervisedStdioTransport } from '../../../src/mcp/index.ts';
import { defineService } from '../../../src/service/index.ts';

/** The smallest server that a client connects to. */
const SERVER = `while read -r line; do case $line in *'"initialize"'*) id=\${line##*'"id":'}; id=\${id%%[,\\}]*}
  echo "{\\"jsonrpc\\":\\"2.0\\",\\"id\\":$id,\\"result\\":{\\"protocolVersion\\":\\"2025-03-26\\",\\"capabilities\\":{},\\"serverInfo\\":{\\"name\\":\\"s\\",\\"version\\":\\"1\\"}}}";; esac; done`;

const it = base.extend('withAgents', ({ supervise }) => async (pool: SupervisorOptions['pool']) => {
  const supervisor = supervise({ pool });
  await supervisor.start();
  const agents = [1, 2].map(() => supervisor.spawn({ command: 'sleep', args: ['300'] }));
  await Promise.all(agents.map(({ started }) => started));
  return supervisor;
});

/** Connects to this many servers; returns what each of them came to. */
function connect(supervisor: Supervisor, servers: number): Promise<string[]> {
  const one = async () => {
    const client = new Client({ name: 'c', version: '1' });
    const server = { command: 'sh', args: ['-c', SERVER], stderr: 'ignore', supervisor } as const;
    await client.connect(new SupervisedStdioTransport(server));
    return 'connected';
  };
  return Promise.all(Array.from({ length: servers }, () => one().catch(({ code }) => code)));
}

const toolOf = async (supervisor: Supervisor) =>
  (await supervisor.spawn({ command: 'true', kind: 'tool' }).exited).cause;

describe.runIf(CAN_WATCH)('beside two agents', () => {
  it('thirty MCP servers and a service start at the defaults, and a tool too', async ({
    withAgents,
  }) => {
    const supervisor = await withAgents(undefined);
    expect(new Set(await connect(supervisor, 30))).toEqual(new Set(['connected']));
    const service = defineService(supervisor, { name: 's', command: 'sleep', args: ['300'] });
    await service.ensure();
    expect(await toolOf(supervisor)).toBe('completed');
    expect(supervisor.list()).toHaveLength(33);
    // Both are there, and neither is counted.
    expect(supervisor.internals.snapshot().countedByCap).toBe(2);
    await service.close();
  });

  it('a cap that is named counts them', async ({ withAgents }) => {
    const supervisor = await withAgents({ hardCap: 4 });
    const outcomes = await connect(supervisor, 3);
    expect(outcomes.sort()).toEqual(['HARD_CAP', 'connected', 'connected']);
    const service = defineService(supervisor, { name: 's', command: 'sleep', args: ['300'] });
    await expect(service.ensure()).rejects.toMatchObject({ code: 'HARD_CAP' });
    expect(await toolOf(supervisor)).toBe('not-started');
    await service.close();
  });

  it('a cap of their kind counts them alone', async ({ withAgents }) => {
    const supervisor = await withAgents({ hardCapPerKind: { 'mcp-server': 2 } });
    const outcomes = await connect(supervisor, 3);
    expect(outcomes.sort()).toEqual(['HARD_CAP', 'connected', 'connected']);
    expect(await toolOf(supervisor)).toBe('completed');
  });
});
