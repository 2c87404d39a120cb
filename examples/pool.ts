import { createSupervisor } from 'agent-supervisor';

await using supervisor = createSupervisor({
  pool: { concurrency: 4, perKey: { anthropic: 3, 'repo:*': 1 } },
});
const { pool } = supervisor;
await supervisor.start();

const fix = (repo: string) =>
  supervisor.spawn({ command: 'node', args: ['-e', ''], keys: ['anthropic', `repo:${repo}`] });

pool.pause({ reason: 'deploy', until: new Date(Date.now() + 60_000) });
const fixes = [fix('web'), fix('web'), fix('api')];
console.log(pool.waiting, pool.queue[0]?.waitsFor);

pool.resume();
await fixes[0]?.started;
console.log(pool.queue.map(({ keys, waitsFor }) => [keys, waitsFor]));

pool.resize({ concurrency: 8 });
await Promise.all(fixes.map(({ exited }) => exited));
console.log(pool.running, pool.oldestWaitMs);
