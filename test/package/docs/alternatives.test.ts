// What the README says of others: the same small tree, ended by each, and who is left of it.
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import treeKill from 'tree-kill';
import { afterEach, describe, expect, it } from 'vitest';
import { endByMarker, findByMarker } from '../../../kit/process-table.ts';
import { CAN_WATCH } from '../../../kit/supervised.ts';
import { createTestSupervisor } from '../../../src/testing/index.ts';

/** A child of the group, one in a session of its own, and an orphan in one. */
const TREE = 'sleep 60 & setsid sleep 61 & (setsid sleep 62 &); sleep 0.2; echo ready; wait';
const MARKER = 'AGENT_SUPERVISOR_ALTERNATIVES';
/** Longer than anyone here takes to die. */
const SETTLED_MS = 500;

const marker = randomUUID();
const env = { PATH: process.env['PATH'] ?? '', [MARKER]: marker };
const DESCENDANTS = ['sleep 60', 'sleep 61', 'sleep 62'];

/** What still runs of the tree, once all is quiet. */
async function left(): Promise<string[]> {
  await delay(SETTLED_MS);
  const sleeping = findByMarker(MARKER, marker).map(({ args }) => args.join(' '));
  return sleeping.filter((args) => DESCENDANTS.includes(args)).sort();
}

afterEach(() => endByMarker(MARKER, marker));

describe.runIf(CAN_WATCH)('who is left of a tree that is ended by', () => {
  it("execa's kill, descendants included", async () => {
    const child = execa('sh', ['-c', TREE], { env, killDescendants: true, reject: false });
    await once(child.stdout, 'data');
    child.kill();
    expect(await left()).toEqual(['sleep 61', 'sleep 62']);
  });

  it('tree-kill', async () => {
    const child = spawn('sh', ['-c', TREE], { env, stdio: ['ignore', 'pipe', 'ignore'] });
    await once(child.stdout, 'data');
    await new Promise((resolve) => treeKill(child.pid as number, 'SIGTERM', resolve));
    expect(await left()).toEqual(['sleep 62']);
  });

  it('terminate()', async () => {
    await using supervisor = createTestSupervisor();
    const child = supervisor.spawn({ command: 'sh', args: ['-c', TREE], env });
    await once(child.stdout, 'data');
    const { survivors } = await child.terminate();
    expect(survivors).toEqual([]);
    expect(await left()).toEqual([]);
  });

  it('a host with execa that is SIGKILLed', async () => {
    const code = `import { execa } from ${JSON.stringify(import.meta.resolve('execa'))};
      const child = execa('sh', ['-c', process.argv[1]], { killDescendants: true, reject: false });
      child.stdout.once('data', () => console.log('ready'));
      await child;`;
    const args = ['--input-type=module', '-e', code, TREE];
    const host = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
    await once(createInterface({ input: host.stdout }), 'line');
    host.kill('SIGKILL');
    expect(await left()).toEqual(DESCENDANTS);
  });
});
