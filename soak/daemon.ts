// The daemon of a soak: it listens, supervises an agent of its own, and ends by itself.
//   daemon.ts <port> <state directory> <life in ms>
import { createServer } from 'node:http';
import { runAsDaemon } from '../src/daemon/index.ts';
import { createSupervisor } from '../src/index.ts';

const [port, stateDir, lifeMs] = process.argv.slice(2);
setTimeout(() => process.exit(9), Number(lifeMs));
const supervisor = createSupervisor({ stateDir });
await runAsDaemon(supervisor);
supervisor.spawn({ command: 'sleep', args: [String(Number(lifeMs) / 1000)] });
createServer((_, response) => response.end()).listen(Number(port), '127.0.0.1');
