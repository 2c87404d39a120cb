import * as z from 'zod/mini';
import { parseInput } from '../check.ts';
import type { HookOptions } from '../index.ts';
import { AgentChild, type FakeAgentProcess } from './agent-process.ts';
import { RunningAgent } from './agent-run.ts';
import type { AgentCall, AgentScript } from './agent-script.ts';
import { isStep } from './agent-steps.ts';

/** A fake agent, to pass as `spawnClaudeCodeProcess` or to `createTestSupervisor({ agent })`. */
export interface FakeAgent {
  (options: HookOptions): FakeAgentProcess;
  /** One call for each process, in start order. */
  readonly calls: readonly AgentCall[];
}

const agentScript = z.custom(
  (script) => typeof script === 'function' || (Array.isArray(script) && script.every(isStep)),
  { error: 'must be an array of steps such as say("…"), or a function that gives them' },
);

/**
 * Makes a fake agent that follows a script and speaks the SDK's stream-json protocol.
 *
 * It starts no process, so the real `query()` runs in milliseconds, without key, network or binary. The
 * first prompt starts the script; `result()` ends a turn, and the steps after it answer the next prompt.
 * A turn that is still open at the end of the script is a success.
 *
 * @throws SupervisorError `INVALID_OPTIONS`
 *
 * @example
 * ```ts
 * const agent = fakeAgent([say('Hello.'), result({ costUsd: 0.02 })]);
 * query({ prompt: 'Hi', options: { spawnClaudeCodeProcess: agent } });
 * ```
 */
export function fakeAgent(script: AgentScript): FakeAgent {
  parseInput(agentScript, script, 'fakeAgent', 'script');
  const calls: AgentCall[] = [];
  const start = ({ command, args, cwd, env = {} }: HookOptions): AgentChild => {
    const process = new AgentChild(
      (line) => agent.receive(line),
      () => agent.receiveEnd(),
    );
    const call = {
      ...{ command, args, cwd, env },
      ...{ prompts: [], received: [], permissions: [] },
      exited: new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
        process.once('exit', (code, signal) => resolve({ code, signal }));
      }),
    };
    const agent = new RunningAgent(process, call, script);
    calls.push(call);
    return process;
  };
  return Object.assign(start, { calls });
}
