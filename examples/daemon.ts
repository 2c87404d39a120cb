import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isProcessAlive } from 'agent-supervisor';
import { ensureDaemon, stopDaemon, validatePidFile } from 'agent-supervisor/daemon';

const port = 30_000 + (process.pid % 10_000);
const pidFile = join(mkdtempSync(join(tmpdir(), 'daemon-')), 'worker.pid');
const worker = {
  name: 'worker',
  command: process.execPath,
  args: [join(import.meta.dirname, 'daemon/worker.ts'), String(port)],
  pidFile,
  ready: { url: `http://127.0.0.1:${port}/` },
};

// As many launchers as you like: one of them starts it, all find it ready.
const launchers = await Promise.all([1, 2, 3].map(() => ensureDaemon(worker)));
console.log(launchers.filter(({ started }) => started).length, 'started it');
console.log(new Set(launchers.map(({ pid }) => pid)).size, 'daemon');
console.log(await validatePidFile(pidFile));

// Another version takes over: the old one is dead before the new one begins.
const { pid, version } = await ensureDaemon({ ...worker, version: '2' });
console.log('version', version, isProcessAlive(launchers[0]?.pid ?? 0) ? 'beside' : 'instead');

console.log((await stopDaemon(pidFile)).pid === pid);
console.log(await validatePidFile(pidFile));
