// npm run soak -- [--minutes n] [--seed s] [--without <protection>]
// Plays a seed's plan on hosts, agents, services and a daemon, and looks at them from outside all the
// while. Ends at the first violation, with exit code 1, the seed and the last 50 deeds.
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { now } from './clock.ts';
import { CONTROLS, type Control, PROTECTIONS } from './controls.ts';
import { doDeed } from './deeds.ts';
import { CROWDED_SLACK_MS, SLACK_MS } from './invariants.ts';
import { type Occasion, planControl, planDeeds } from './plan.ts';
import { printSummary } from './summary.ts';
import { MARKER } from './tag.ts';
import { Witness } from './witness.ts';
import { World } from './world.ts';

const LOOK_EVERY_MS = 100;
const DEEDS_TOLD = 50;
/** Between two deeds of a control: what a host is told has begun by then, as a rule. */
const CONTROL_GAP_MS = 400;
/** How long the first hosts may take to load. */
const START_MS = 60_000;
/** How long the hosts may take to stop in the end. */
const END_MS = CROWDED_SLACK_MS + SLACK_MS;

const { minutes, seed, without } = readArguments();
const durationMs = minutes * 60_000;
const world = new World({ durationMs, without, port: await freePort() });
const witness = new Witness(world);
const told: string[] = [];
let interrupted = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    interrupted = true;
  });

const how = without === undefined ? '' : `, without ${without}`;
console.log(
  `soak: seed ${seed}, ${minutes} minutes${how}; all that is of it has ${MARKER}=${world.marker}`,
);
const beganAtMs = now();
try {
  await play();
  if (witness.violation === undefined && !interrupted) await end();
} finally {
  await world.close();
}
printSummary(world, witness, { seed, minutes: (now() - beganAtMs) / 60_000 });
if (witness.violation !== undefined) {
  console.log(`\nThe last deeds:\n${told.slice(-DEEDS_TOLD).join('\n')}`);
  console.log(
    `\nVIOLATION: ${witness.violation}\nAgain: npm run soak -- --seed ${seed}${without ? ` --without ${without}` : ''}`,
  );
  process.exitCode = 1;
} else if (interrupted) process.exitCode = 130;

async function play(): Promise<void> {
  await world.begin(START_MS);
  const due = without === undefined ? asPlanned() : overAndOver(CONTROLS[without]);
  const startedAtMs = now();
  for (;;) {
    const nowMs = now() - startedAtMs;
    if (interrupted || nowMs > durationMs || witness.look()) return;
    for (const deed of due(nowMs))
      told.push(`${(nowMs / 1000).toFixed(1).padStart(7)} s  ${doDeed(world, deed)}`);
    await delay(LOOK_EVERY_MS);
  }
}

/** What is to be done by a time, and has not been done yet. */
type Due = (nowMs: number) => readonly Occasion[];

function asPlanned(): Due {
  const plan = planDeeds(seed, durationMs);
  let next = 0;
  return (nowMs) => {
    const first = next;
    while ((plan[next]?.atMs ?? Number.POSITIVE_INFINITY) <= nowMs) next++;
    return plan.slice(first, next);
  };
}

/** One deed after the other, each as soon as its host is there. */
function overAndOver(control: Control): Due {
  const round = planControl(control);
  let [next, dueMs] = [0, 0];
  return (nowMs) => {
    const deed = round[next % round.length];
    if (deed === undefined || nowMs < dueMs || !world.hostAt(deed.place)) return [];
    next++;
    dueMs = nowMs + CONTROL_GAP_MS;
    return [deed];
  };
}

/** All hosts stop and the daemon is ended: then nothing of the soak may be left but its strangers. */
async function end(): Promise<void> {
  let isOver = false;
  const stopped = world.stopHosts(END_MS).then(() => {
    for (const key of world.endDaemons()) world.signal(key, 'SIGTERM');
    isOver = true;
  });
  while (!isOver && !interrupted && !witness.look()) await delay(LOOK_EVERY_MS);
  await stopped;
  for (let left = END_MS; left > 0 && !witness.looksEmpty(); left -= LOOK_EVERY_MS)
    await delay(LOOK_EVERY_MS);
  witness.judgeTheEnd();
}

function readArguments() {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '3' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      without: { type: 'string' },
    },
  });
  const [minutes, seed] = [Number(values.minutes), Number(values.seed)];
  if (!(minutes > 0)) throw new Error(`--minutes must be above 0, not ${values.minutes}`);
  if (!Number.isInteger(seed)) throw new Error(`--seed must be a whole number, not ${values.seed}`);
  const without = PROTECTIONS.find((protection) => protection === values.without);
  if (values.without !== without)
    throw new Error(`--without must be one of ${PROTECTIONS.join(', ')}, not ${values.without}`);
  if (process.platform !== 'linux') throw new Error('The soak needs Linux: it looks at /proc.');
  return { minutes, seed, without };
}

/** A port that nobody listens on at this moment. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
