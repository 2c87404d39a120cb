import { getSupervisor } from 'agent-supervisor';
import { defineService } from 'agent-supervisor/service';

const supervisor = getSupervisor();
supervisor.on('service', ({ name, state }) => console.log(name, state));

const index = defineService(supervisor, {
  name: 'index',
  command: process.execPath,
  args: ['-e', 'setInterval(() => {}, 1000); console.log("listening")'],
  ready: { stdout: /^listening/ }, // or { port }, { url }, { socket }, { check }
  restart: { backoffMs: 500 },
});

const [one, other] = await Promise.all([index.ensure(), index.ensure()]);
console.log('one process:', one === other);

one.kill('SIGKILL'); // this host's own doing: it rests until somebody asks
await one.exited;
const next = await index.ensure();
console.log('another one:', next.pid !== one.pid);

await index.close(); // resolves when it is dead, with all that it has started
