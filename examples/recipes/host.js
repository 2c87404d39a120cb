import { getSupervisor } from 'agent-supervisor';

const supervisor = getSupervisor();
supervisor.on('warning', ({ code, message }) => console.warn(code, message));
supervisor.on('started', ({ pid }) => console.log('started', pid));
supervisor.on('exited', ({ cause, forced }) => console.log(forced ? 'forced' : 'polite', cause));
supervisor.handleSignals(); // SIGTERM, SIGINT, SIGHUP

// It stands for your agents.
supervisor.spawn({ command: process.execPath, args: ['-e', 'setInterval(() => {}, 1000)'] });
