import { getSupervisor } from 'agent-supervisor';

const supervisor = getSupervisor();

// SIGTERM, SIGINT, SIGHUP: ends everything, and by force if it comes again; then the host dies of it.
supervisor.handleSignals({
  finishMs: 10_000, // what runs may finish first
  hook: async (signal) => console.log(`${signal}: saving`), // may throw or hang
});

const agent = supervisor.spawn({
  command: process.execPath,
  args: ['-e', 'setTimeout(() => console.log("done"), 200)'],
});
agent.stdout.on('data', (chunk) => process.stdout.write(chunk));
await agent.started; // a stop refuses what still waits

const { ended, survivors } = await supervisor.stop({ finishMs: 5_000 });
console.log(
  ended.map(({ cause }) => cause),
  survivors,
);
