import * as z from 'zod/mini';
import { parseInput } from '../check.ts';
import type { HookOptions } from '../index.ts';
import type { Frame } from './agent-frames.ts';
import { AgentChild, type FakeAgentProcess } from './agent-process.ts';
import { RunningAgent } from './agent-run.ts';
import { type AgentStep, type AgentSteps, isStep, type PermissionAnswer } from './agent-steps.ts';

/** What an agent does: the same steps for each of its processes, or steps made for each of them. */
export type AgentScript = readonly AgentStep[] | ((call: AgentCall) => AgentSteps);

/** One process that a fake agent stood for: what it was started with, what it heard, how it ended. */
export interface AgentCall {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The texts of the prompts so far. */
  readonly prompts: readonly string[];
  /** Every frame that the host has written so far. */
  readonly received: readonly Frame[];
  /** What the host has answered to permission requests. */
  readonly permissions: readonly PermissionAnswer[];
  /** Resolves at its exit. */
  readonly exited: Promise<{
    readonly code: number | null;
    readonly signal: NodeJS.Signals | null;
  }>;
}

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
  const start = ({ command, args, cwd, env = {} }: HookOptions): AgentChild => {
    const process = new AgentChild(
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
