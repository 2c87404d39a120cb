import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { getSupervisor } from 'agent-supervisor';
import { SupervisedStdioTransport } from 'agent-supervisor/mcp';

const supervisor = getSupervisor();
const server = import.meta.resolve('@modelcontextprotocol/server-memory/dist/index.js');

/** Starts a memory of this name, and connects to it. */
async function connect(name: string): Promise<Client> {
  const transport = new SupervisedStdioTransport({
    command: process.execPath,
    args: [fileURLToPath(server)],
    env: { MEMORY_FILE_PATH: join(process.cwd(), `${name}.jsonl`) }, // and PATH and its like
    stderr: 'ignore', // the report has its last lines
    sessionId: 'first', // to reap it with the rest of the session
  });
  const client = new Client({ name: 'example', version: '1.0.0' });
  await client.connect(transport);
  return client;
}

const people = await connect('people');
const places = await connect('places');
const drafts = await connect('drafts');

const { tools } = await people.listTools();
console.log(tools.length, 'tools');
const graph = await places.callTool({ name: 'read_graph', arguments: {} });
console.log(graph.structuredContent);

await drafts.close(); // over: its server and all that it has started are dead
console.log(supervisor.list({ sessionId: 'first' }).length, 'servers');

const { ended } = await supervisor.reapSession('first'); // and so are the others
for (const { kind, cause, stderrTail } of ended) console.log(kind, cause, stderrTail.trim());
await supervisor.stop();
