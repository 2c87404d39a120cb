// How the demo starts an agent: the real one through the SDK's query(), or a scripted one in its place.
import { fileURLToPath } from 'node:url';
import { query } from '@anthropic-ai/claude-agent-sdk';
import type { SupervisedProcess, Supervisor } from 'agent-supervisor';
import { agentEnvironment, agentOptions } from '../../kit/real-agent.ts';
import { steer } from '../../kit/steer.ts';
import type { DemoQuery } from './queries.ts';
import { MARKER } from './witness.ts';

export interface AgentSetup {
  readonly supervisor: Supervisor;
  readonly apiUrl: string;
  /** Home and working directory of every agent. */
  readonly home: string;
  /** The value of the variable that all processes of this run carry. */
  readonly marker: string;
}

/** Runs one agent to the end of its output and resolves with its answer; rejects as `query()` does. */
export type RunAgent = (
  task: DemoQuery,
  abortController: AbortController,
  onSpawn: (agent: SupervisedProcess) => void,
) => Promise<string>;

/** The SDK's real agent; the supervisor is in one line of its options. */
export function realAgents({ supervisor, apiUrl, home, marker }: AgentSetup): RunAgent {
  return async (task, abortController, onSpawn) => {
    const options = {
      ...agentOptions(apiUrl, home, { [MARKER]: marker }),
      ...task.options,
      abortController,
      spawnClaudeCodeProcess: supervisor.spawnHook({ sessionId: task.name, onSpawn }),
    };
    let answer = '';
    for await (const message of query({ prompt: steer(task.steps), options })) {
      if (message.type === 'result' && message.subtype === 'success') answer = message.result;
    }
    return answer;
  };
}

const SCRIPT = fileURLToPath(new URL('./scripted-agent.mjs', import.meta.url));

/** A small Node program that misbehaves as the real agent of the same name would. */
export function scriptedAgents({ supervisor, apiUrl, home, marker }: AgentSetup): RunAgent {
  return async (task, { signal }, onSpawn) => {
    const agent = supervisor.spawn({
      command: process.execPath,
      args: [SCRIPT, task.name],
      cwd: home,
      env: { ...agentEnvironment(apiUrl, home), [MARKER]: marker },
      signal,
      sessionId: task.name,
      onSpawn,
    });
    await agent.started;
    const answer = Buffer.concat(await agent.stdout.toArray()).toString('utf8');
    return answer.trim();
  };
}
