import { getSupervisor } from 'agent-supervisor';

const supervisor = getSupervisor({ pool: { concurrency: 2, waitTimeoutMs: 30_000 } });
const lease = await supervisor.acquire({ sessionId: 'report', priority: 1 });
try {
  for (const step of ['draft', 'review']) {
    const agent = lease.spawn({
      command: process.execPath,
      args: ['-e', 'console.log(process.argv[1])', step],
    });
    agent.stdout.on('data', (chunk) => process.stdout.write(chunk));
    await agent.exited; // one live process at a time
  }
} finally {
  lease.release();
}
