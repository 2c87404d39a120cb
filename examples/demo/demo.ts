// The main job on real input: six agents through a pool of two, four of them badly behaved; nothing is left.
//   npm run demo                 the SDK's real agent against a fake Messages API on 127.0.0.1
//   npm run demo -- --scripted   small scripted programs in its place
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { getSupervisor, isProcessAlive, type SupervisedProcess } from 'agent-supervisor';
import { startFakeApi } from '../../kit/fake-api.ts';
import { agentBinary, makeTempDir, removeTempDir } from '../../kit/real-agent.ts';
import { realAgents, scriptedAgents } from './agents.ts';
import { Board } from './board.ts';
import { type DemoQuery, QUERIES } from './queries.ts';
import { Screen } from './screen.ts';
import { judge } from './summary.ts';
import { Witness } from './witness.ts';

const DEADLINE_MS = 40_000;
const REDRAW_MS = 250;

const screen = new Screen(process.stdout);
const hasAgent = agentBinary() !== undefined;
const scripted = !hasAgent || process.argv.includes('--scripted');
if (!hasAgent) screen.log(`the SDK has no agent for ${process.platform}-${process.arch}`);
screen.log(
  scripted
    ? 'six scripted agents: no SDK and no model, only the same misbehaviour'
    : 'six queries of the real agent SDK, with a fake Messages API on 127.0.0.1',
);

const home = await makeTempDir();
const marker = randomUUID();
const api = await startFakeApi();
const witness = new Witness({ marker, isProcessAlive });
const supervisor = getSupervisor({ stateDir: join(home, 'state'), pool: { concurrency: 2 } });
const board = new Board({ supervisor, sessions: QUERIES.map(({ name }) => name), screen });
const setup = { supervisor, apiUrl: api.url, home, marker };
const runAgent = scripted ? scriptedAgents(setup) : realAgents(setup);

// Ctrl-C ends everything that runs; then the demo dies of the signal, as its parent expects.
let interruptedBy: string | undefined;
const stopHandling = supervisor.handleSignals({
  hook: (signal) => {
    interruptedBy = signal;
    return finish();
  },
  hookTimeoutMs: 15_000,
});

const agents = new Map<string, SupervisedProcess>();
const aborts = new Map<string, AbortController>();
const untouched = new Set(QUERIES);
let finishing: Promise<boolean> | undefined;
let finished = false;

void watch();
const timeUp = delay(DEADLINE_MS, undefined, { ref: false });
await Promise.race([Promise.all(QUERIES.map(run)), timeUp]);
process.exitCode = (await finish()) ? 0 : 1;
stopHandling();

/** Runs one query to its end; how its process ended is for the supervisor's report to say. */
async function run(task: DemoQuery): Promise<void> {
  const abortController = new AbortController();
  aborts.set(task.name, abortController);
  try {
    const answer = await runAgent(task, abortController, (agent) => agents.set(task.name, agent));
    screen.log(`${task.name}: the host gets ${answer === '' ? 'no answer' : `"${answer}"`}`);
  } catch (error) {
    screen.log(`${task.name}: the host gets an error: ${(error as Error).message}`);
  }
}

/** Measures and redraws until the end, and does to the agents what the demo has in store for them. */
async function watch(): Promise<void> {
  while (!finished) {
    try {
      const seen = await board.refresh();
      const pids = seen.flatMap(({ pid, descendants }) => [pid, ...descendants.map((d) => d.pid)]);
      witness.look(pids);
      if (!finished) screen.draw(board.lines());
      for (const task of untouched) {
        const inspection = seen.find(({ sessionId }) => sessionId === task.name);
        if (inspection !== undefined && task.deed?.when(inspection)) meddle(task);
      }
    } catch (error) {
      screen.log(`cannot look at the processes: ${(error as Error).message}`);
    }
    await delay(REDRAW_MS, undefined, { ref: false });
  }
}

function meddle(task: DemoQuery): void {
  untouched.delete(task);
  const agent = agents.get(task.name);
  if (agent?.pid === undefined || agent.exitCode !== null || agent.signalCode !== null) return;
  if (task.deed?.kind === 'abort') {
    screen.log(`${task.name}: the demo aborts the query`);
    aborts.get(task.name)?.abort();
  } else {
    screen.log(`${task.name}: the demo sends SIGKILL to the agent, pid ${agent.pid}`);
    process.kill(agent.pid, 'SIGKILL');
  }
}

/** Stops the supervisor, checks from outside who is alive, and says what came of it. */
function finish(): Promise<boolean> {
  finishing ??= (async () => {
    await supervisor.stop({ finishMs: 8_000 });
    const survivors = witness.survivors();
    finished = true;
    screen.draw(board.lines());
    const { reports } = board;
    const verdict = judge(QUERIES, { reports, survivors, seen: witness.seen, interruptedBy });
    screen.end(verdict.lines);
    await api.close();
    await removeTempDir(home);
    return verdict.ok;
  })();
  return finishing;
}
