import { getSupervisor } from 'agent-supervisor';
import { doctor } from 'agent-supervisor/doctor';

const supervisor = getSupervisor();
const tool = supervisor.spawn({
  command: process.execPath,
  args: ['-e', 'setInterval(() => {}, 1000)'],
  kind: 'tool',
  sessionId: 'nightly',
  limits: { lifetimeMs: 60_000 },
});
await tool.started;

const report = await doctor(supervisor);
console.log('in good health:', report.status !== 'fail');
for (const { id, summary, advice } of report.checks.filter(({ status }) => status !== 'ok'))
  console.log(id, summary, advice);
for (const { kind, sessionId, identity, limits } of report.processes)
  console.log(kind, sessionId, identity, limits?.lifetimeMs);

await supervisor.stop();
