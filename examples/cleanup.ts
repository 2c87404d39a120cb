import { existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getSupervisor } from 'agent-supervisor';

const supervisor = getSupervisor();
const scratch = mkdtempSync(join(tmpdir(), 'scratch-'));

const worker = supervisor.spawn({
  command: 'sleep',
  args: ['60'],
  kind: 'tool',
  stopSignal: 'SIGINT',
  ladder: { stdinEofMs: 0, termMs: 10_000 },
  leftovers: ({ command }) => (command === 'git' ? 'keep' : 'terminate'),
  leftoversGraceMs: 5000,
  cleanup: { name: 'scratch', command: 'rm', args: ['-rf', scratch] },
});
await worker.started;
await worker.terminate();

const { cause, cleanup } = await worker.exited;
console.log(cause, cleanup, existsSync(scratch) ? 'is there' : 'is gone');
await supervisor.stop();
