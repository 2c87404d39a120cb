// A host that starts ten short children a second under a memory limit. It prints the most descriptors
// that it held beyond those of live children. `node sampling-host.ts STATE_DIR CHILDREN WAY MARKER`
import { readdirSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import pidusage from 'pidusage';
import type { Usage } from '../src/os/os.ts';
import { systemOs } from '../src/os/system.ts';
import { Supervisor } from '../src/supervisor/supervisor.ts';

const [stateDir = '', count = '', way = 'ours', marker = ''] = process.argv.slice(2);
/** Time between two children. */
const EVERY_MS = 100;

/** The control: pidusage with its default options. */
async function withDefaults(pids: readonly number[]): Promise<ReadonlyMap<number, Usage>> {
  const stats = await pidusage([...pids]).catch(() => ({}));
  const known = Object.entries(stats).filter(([, stat]) => stat !== null);
  return new Map(
    known.map(([pid, { cpu, ctime, memory }]) => [
      Number(pid),
      { cpuPercent: cpu, cpuTimeMs: ctime, rssBytes: memory },
    ]),
  );
}

const system = systemOs();
const os = way === 'ours' ? system : { ...system, sample: withDefaults };
const options = { stateDir, sampling: { intervalMs: 50 }, pool: { concurrency: 50, hardCap: 50 } };
const supervisor = new Supervisor(options, os);
await supervisor.start();
const held = () => readdirSync('/proc/self/fd').length;
const before = held();
let most = 0;
const env = { PATH: process.env['PATH'], AGENT_SUPERVISOR_TEST: marker };
for (let children = 0; children < Number(count); children++) {
  supervisor.spawn({
    ...{ command: 'sleep', args: [String(0.1 + 0.3 * Math.random())], env, kind: 'tool' },
    limits: { memoryBytes: 2 ** 30 },
  });
  await wait(EVERY_MS);
  // Each live child has three streams and one more descriptor.
  most = Math.max(most, held() - before - 4 * supervisor.list().length);
}
await supervisor.stop();
console.log(most);
process.exit(0);
