import { spawn } from 'node:child_process';
import { getSupervisor } from 'agent-supervisor';

const supervisor = getSupervisor();
const lease = await supervisor.acquire({ sessionId: 'terminal' });
const { env, prefix } = await lease.launch();
const command = [...prefix, process.execPath, '-e', 'setTimeout(() => {}, 200)'];
const [file = '', ...args] = command;
const child = spawn(file, args, { env }); // node-pty's spawn takes the same
const agent = await lease.adopt({ pid: child.pid });
console.log(supervisor.list({ sessionId: 'terminal' }).length, 'launched by another');
console.log((await agent.exited).cause);
lease.release();
