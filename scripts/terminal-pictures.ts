// Takes the pictures of the command line and of the demo: node scripts/terminal-pictures.ts
// A real tmux shows what a person sees; the agents are the demo's scripted ones.
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { forgeJournal } from '../kit/forged-journal.ts';
import { endByMarker, eventually } from '../kit/process-table.ts';
import { makeTempDir, removeTempDir } from '../kit/real-agent.ts';
import { createSupervisor } from '../src/index.ts';
import { terminalSvg } from './terminal-svg.ts';

const PICTURES = join(import.meta.dirname, '../docs/pictures');
const SCRIPT = join(import.meta.dirname, '../examples/demo/scripted-agent.mjs');
const COMMAND = join(import.meta.dirname, '../src/cli/main.ts');
const DEMO = join(import.meta.dirname, '../examples/demo/demo.ts');
const MARKER = 'AGENT_SUPERVISOR_PICTURES';
const [COLUMNS, ROWS] = [126, 40];
const DONE = 'the-picture-is-complete';

const run = promisify(execFile);
const marker = randomUUID();
const tmux = async (...args: string[]): Promise<string> =>
  (await run('tmux', ['-L', marker, '-f', '/dev/null', ...args])).stdout;

await mkdir(PICTURES, { recursive: true });
const home = await makeTempDir();
const stateDir = join(home, 'state');
const supervisor = createSupervisor({
  stateDir,
  pool: { concurrency: 4 },
  ladder: { stdinEofMs: 200, termMs: 500 },
});
try {
  await tmux('new-session', '-d', '-x', String(COLUMNS), '-y', String(ROWS), 'sh');
  await writeFile(join(PICTURES, 'demo.svg'), await picture(DEMO, 'npm run demo'));
  await startAgents();
  // A host that was killed a moment ago, for the doctor to find.
  forgeJournal(stateDir);
  for (const name of ['ps', 'doctor', 'events']) {
    const args = name === 'events' ? 'events --no-follow' : name;
    const call = `${COMMAND} ${args} --state-dir ${stateDir}`;
    await writeFile(join(PICTURES, `${name}.svg`), await picture(call, `agent-supervisor ${name}`));
  }
} finally {
  await tmux('kill-server').catch(() => undefined);
  await supervisor.stop();
  await endByMarker(MARKER, marker);
  await removeTempDir(home);
}

async function startAgents(): Promise<void> {
  const env = { PATH: process.env['PATH'], [MARKER]: marker };
  const spawn = (args: readonly string[], sessionId: string) =>
    supervisor.spawn({ command: process.execPath, args, cwd: home, env, sessionId });
  const agent = (mode: string, sessionId = mode) => spawn([SCRIPT, mode], sessionId);
  await Promise.all([agent('plain', 'summary').exited, agent('setsid', 'refactoring').exited]);
  const killed = agent('killed', 'migration');
  await killed.started;
  process.kill(killed.pid ?? Number.NaN, 'SIGKILL');
  await killed.exited;
  await supervisor.spawn({
    ...{ command: 'sleep', args: ['60'], env, kind: 'tool', sessionId: 'nightly' },
    limits: { lifetimeMs: 500 },
  }).exited;
  const server = `setInterval(() => {}, 1000);
    const { spawn } = require('node:child_process');
    spawn('sleep', ['300']);
    spawn('sleep', ['300'], { detached: true });`;
  for (const session of ['refactoring', 'review']) await spawn(['-e', server], session).started;
  await supervisor.spawn({ command: 'sleep', args: ['300'], env, kind: 'tool' }).started;
  await eventually(
    async () => (await supervisor.inspect()).flatMap((one) => one.descendants).length >= 4,
  );
}

/** What the screen shows when the script has run. */
async function picture(call: string, title: string): Promise<string> {
  const line = `clear; ${process.execPath} ${call} 2>&1; printf '\\n%s' ${DONE}; read _`;
  await tmux('send-keys', line, 'Enter');
  const screen = await eventually(
    async () => {
      const seen = await tmux('capture-pane', '-e', '-p');
      return seen.split('\n').some((line) => line.trimEnd().endsWith(DONE)) && seen;
    },
    { timeoutMs: 90_000, what: `${title} has been drawn` },
  );
  await tmux('send-keys', 'Enter');
  const lines = screen.split('\n');
  const shown = lines.slice(
    0,
    lines.findIndex((line) => line.includes(DONE)),
  );
  // Where it was taken is nobody's business.
  return terminalSvg(
    shown.join('\n').replaceAll(stateDir, '~/.local/state/agent-supervisor'),
    title,
    COLUMNS,
  );
}
