import { createServer } from 'node:http';
import { getSupervisor } from 'agent-supervisor';
import { runAsDaemon } from 'agent-supervisor/daemon';

const supervisor = getSupervisor();
await runAsDaemon(supervisor); // writes the pid file; SIGTERM stops the supervisor, then it dies of it

createServer((_, res) => res.end('busy\n')).listen(Number(process.argv[2]), '127.0.0.1');
setTimeout(() => supervisor.stop().then(() => process.exit()), 60_000); // an example ends some day
