import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import { getSupervisor } from 'agent-supervisor';
import { runAsDaemon } from 'agent-supervisor/daemon';

const supervisor = getSupervisor();
supervisor.on('warning', ({ code, message }) => console.warn(code, message));
await runAsDaemon(supervisor); // writes the pid file; SIGTERM stops the supervisor, then it dies of it

const events: string[] = [];
createServer(async (request, response) => {
  if (request.method === 'POST') events.push(await text(request));
  response.end(`${events.length} events\n`);
}).listen(Number(process.argv[2]), '127.0.0.1');
setTimeout(() => supervisor.stop().then(() => process.exit()), 60_000); // an example ends some day
