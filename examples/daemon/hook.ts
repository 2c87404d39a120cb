import { homedir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { ensureDaemon } from 'agent-supervisor/daemon';

const port = process.env['WORKER_PORT'] ?? '7433';
const url = `http://127.0.0.1:${port}/`;

// One for the user, whichever project and agent the hook runs in.
await ensureDaemon({
  name: 'worker',
  command: process.execPath,
  args: [join(import.meta.dirname, 'worker.ts'), port],
  pidFile: join(homedir(), '.worker/worker.pid'),
  ready: { url },
});
// It prints nothing: an agent reads what its hooks print.
await fetch(url, { method: 'POST', body: await text(process.stdin) });
