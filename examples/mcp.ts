import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { getSupervisor } from 'agent-supervisor';
import { SupervisedStdioTransport } from 'agent-supervisor/mcp';

const server = import.meta.resolve('@modelcontextprotocol/server-memory/dist/index.js');
const transport = new SupervisedStdioTransport({
  command: process.execPath,
  args: [fileURLToPath(server)],
  env: { MEMORY_FILE_PATH: join(process.cwd(), 'memory.jsonl') }, // and PATH and its like
  stderr: 'ignore', // the report has its last lines
  sessionId: 'first', // to reap it with the rest of the session
});
const client = new Client({ name: 'example', version: '1.0.0' });

await client.connect(transport);
const { tools } = await client.listTools();
console.log(tools.length, 'tools');
const graph = await client.callTool({ name: 'read_graph', arguments: {} });
console.log(graph.structuredContent);
await client.close(); // over: the server and all that it has started are dead

const report = await transport.process?.exited;
console.log(report?.kind, report?.cause, report?.stderrTail.trim());
await getSupervisor().stop();
