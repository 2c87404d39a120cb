import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { getSupervisor } from 'agent-supervisor';
import { app } from './app.ts'; // in Electron: from 'electron'

const supervisor = getSupervisor();
supervisor.on('warning', ({ code, message }) => console.warn(code, message));
// Instead of the event 'exit' of a utilityProcess, and of 'child-process-gone' of the app.
supervisor.on('restarting', ({ after, delayMs }) => {
  console.log(`utility ${after.cause}, again in ${delayMs} ms`);
});

// Not earlier: an app that is the second of its kind has quit by then.
await app.whenReady();
const utility = supervisor.run({ maxRestarts: 5, backoffMs: 100 }, ({ signal }) => {
  const child = supervisor.spawn({
    command: process.execPath,
    args: [join(import.meta.dirname, 'utility.ts')],
    env: { ...process.env, ELECTRON_RUN_AS_NODE: '1' }, // Electron's own program is a Node then
    kind: 'utility',
    signal,
  });
  const lines = createInterface({ input: child.stdout });
  lines.on('line', (line) => console.log(`utility ${child.pid}: ${line}`));
  child.stdin.write('12\n');
  return child;
});

// Once: the second quit is ours, and goes through.
app.once('before-quit', async (event) => {
  event.preventDefault();
  const { survivors } = await supervisor.stop();
  console.log('survivors:', survivors.length);
  app.quit();
});

const { outcome, restarts } = await utility.done;
if (outcome !== 'aborted') {
  console.log(`given up: ${outcome} after ${restarts} restarts`); // dialog.showErrorBox(…)
  app.quit();
}
