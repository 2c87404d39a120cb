// A daemon that listens at a port and at a socket, and ends by itself after 10 minutes at the latest.
//   daemon.ts <port> <socket>
import { createServer } from 'node:net';
import { createSupervisor, DAEMON_ENTRY } from '../built.ts';

const { runAsDaemon } = (await import(DAEMON_ENTRY)) as typeof import('../../src/daemon/index.ts');
const [port, socket = ''] = process.argv.slice(2);
await runAsDaemon(createSupervisor());
createServer().listen(Number(port), '127.0.0.1');
createServer().listen(socket);
setTimeout(() => process.exit(9), 600_000);
