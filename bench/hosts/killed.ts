// A host that starts one polite tree, supervised or beside a bare guardian, prints the leader's pid
// once the whole tree runs, and waits to be killed.
import { once } from 'node:events';
import { createSupervisor } from '../built.ts';
import { family, spawnBare, spawnGuardian } from '../children.ts';

/** Ten in the leader's group, and one that left it; that one speaks last. They end by themselves in the end. */
const TREE = `i=0; while [ $i -lt 10 ]; do sleep 120 >/dev/null 2>&1 & i=$((i+1)); done
setsid sh -c 'echo ready; exec sleep 120' & wait`;

const [way, stateDir = ''] = process.argv.slice(2);
setTimeout(() => process.exit(9), 60_000);
console.log(way === 'supervised' ? await supervised() : await bare());

async function supervised(): Promise<number> {
  const supervisor = createSupervisor({ stateDir });
  await supervisor.start();
  const leader = supervisor.spawn({ command: '/bin/sh', args: ['-c', TREE] });
  await once(leader.stdout, 'data');
  return leader.pid as number;
}

/** It is told of both groups when they stand: it never has to look for anybody. */
async function bare(): Promise<number> {
  const leader = spawnBare('/bin/sh', ['-c', TREE]);
  await once(leader.stdout as NodeJS.ReadableStream, 'data');
  const pid = leader.pid as number;
  spawnGuardian(`read x; kill -TERM -${pid} -${family(pid).at(-1)}`);
  return pid;
}
