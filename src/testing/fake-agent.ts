import * as z from 'zod/mini';
import { parseInput } from '../check.ts';
import type { HookOptions } from '../index.ts';
import { FakeAgentProcess } from './agent-process.ts';
import { RunningAgent } from './agent-run.ts';
import type { AgentCall, AgentScript } from './agent-script.ts';
import { isStep } from './agent-steps.ts';

/** What goes into `spawnClaudeCodeProcess`, or into `createTestSupervisor({ agent })`. */
export interface FakeAgent {
  (options: HookOptions): FakeAgentProcess;
  /** One for each process, in the order of their starts. */
  readonly calls: readonly AgentCall[];
}

const agentScript = z.custom(
  (script) => typeof script === 'function' || (Array.isArray(script) && script.every(isStep)),
  { error: 'must be an array of steps such as say("…"), or a function that gives them' },
);

/**
 * Makes an agent of a script: it starts no process and speaks the SDK's stream-json protocol, so
 * that the real `query()` runs in milliseconds, without key, network or binary.
 *
 * The first prompt sets the script going; `result()` ends a turn, and what follows it answers the
 * next prompt. A turn that the script leaves open at its end is a success.
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
  const start = ({ command, args, cwd, env = {} }: HookOptions): FakeAgentProcess => {
    const process = new FakeAgentProcess(
      (line) => agent.hear(line),
      () => agent.hearEnd(),
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
