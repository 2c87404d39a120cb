import { getSupervisor } from 'agent-supervisor';

const supervisor = getSupervisor();
supervisor.on('restarting', ({ attempt, after }) => {
  console.log(`attempt ${attempt} after ${after.cause}, code ${after.code}`);
});

const run = supervisor.run(
  { name: 'indexer', maxRestarts: 5, backoffMs: 10 }, // the name: the next host goes on counting
  ({ attempt, signal }) =>
    supervisor.spawn({
      command: process.execPath,
      args: ['-e', `process.exit(${attempt < 3 ? attempt : 0})`], // crashes twice
      signal, // ends it with its run
    }),
);

const { outcome, restarts } = await run.done; // never rejects, unless the attempt throws
console.log(outcome, restarts);
