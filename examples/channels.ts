import { subscribe } from 'node:diagnostics_channel';
import { createSupervisor, type SupervisorEvents } from 'agent-supervisor';

// Anywhere in the host, without the supervisor at hand: each event has a channel of its name.
subscribe('agent-supervisor:exited', (message) => {
  const { detail } = message as { detail: SupervisorEvents['exited'] };
  console.log(detail.kind, detail.cause);
});

await using supervisor = createSupervisor();
await supervisor.spawn({ command: process.execPath, args: ['-e', ''], kind: 'tool' }).exited;
