import { createInterface } from 'node:readline';
import { type ExitReport, getSupervisor } from 'agent-supervisor';

const supervisor = getSupervisor({ pool: { concurrency: 1 } }); // one agent at a time

/** Runs any command as an agent, `codex exec …` say, to its end. */
async function runAgent(command: string, ...args: string[]): Promise<ExitReport> {
  const agent = supervisor.spawn({
    command,
    args,
    sessionId: crypto.randomUUID(),
    maxWallClockMs: 2_500, // of the session, in all; the wait for the slot counts
    limits: { startupMs: 2_000, memoryBytes: 2 ** 30 }, // of the process, and of its tree
  });
  agent.stdin.end(); // or it waits for more of its prompt
  for await (const line of createInterface({ input: agent.stdout })) console.log('>', line);
  return agent.exited; // over: it is dead, with all that it has started
}

// Stand-ins: one fails, one does not come to an end.
const node = (script: string) => runAgent(process.execPath, '-e', script);
const fails = node('console.log("Done."); console.error("No key."); process.exitCode = 3');
const hangs = node('console.log("Hm."); console.error("Once more."); setTimeout(() => {}, 60_000)');

for (const { cause, code, stderrTail } of await Promise.all([fails, hangs]))
  console.log(cause, code, stderrTail.trim());
await supervisor.stop();
