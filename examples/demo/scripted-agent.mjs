// A stand-in for an agent: no model, no SDK, but the same misbehaviour as the demo's query of that name.
//   node scripted-agent.mjs plain | stubborn-mcp | setsid | hangs | killed | polite-mcp
// Whatever it is, and whatever it starts, ends by itself after 300 s.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const [mode] = process.argv.slice(2);
setTimeout(() => process.exit(), 300_000);

function start(child, options) {
  return spawn(process.execPath, [fileURLToPath(import.meta.url), child], {
    stdio: ['pipe', 'ignore', 'ignore'],
    windowsHide: true,
    ...options,
  });
}

const modes = {
  async plain() {
    await delay(1_500);
    return 'Hello from a script.';
  },
  async 'stubborn-mcp'() {
    start('stubborn-child');
    await delay(2_000);
    return 'My child will not end by itself.';
  },
  async setsid() {
    start('sleep', { detached: true, stdio: 'ignore' });
    await delay(1_500);
    return 'I left something behind.';
  },
  hangs: () => once(process, 'never'),
  killed() {
    start('sleep', { detached: true, stdio: 'ignore' });
    return once(process, 'never');
  },
  async 'polite-mcp'() {
    const helper = start('helper');
    await delay(1_500);
    helper.stdin.end();
    await once(helper, 'exit');
    return 'My helper ended when told.';
  },
  'stubborn-child'() {
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => {});
    return once(process, 'never');
  },
  sleep: () => once(process, 'never'),
  helper: () => once(process.stdin.resume(), 'end'),
};

const answer = await modes[mode]();
// Exits although what it started still runs: that is what it is here for.
process.stdout.write(typeof answer === 'string' ? `${answer}\n` : '', () => process.exit());
