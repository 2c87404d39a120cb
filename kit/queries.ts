// Real queries through one supervisor, each with a name; a file records whose agents were started.
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Options, query, type SDKUserMessage } from '@anthropic-ai/claude-agent-sdk';
import type { SupervisedProcess, Supervisor } from '../src/index.ts';
import type { FakeApi } from './fake-api.ts';
import { agentBinary, agentOptions } from './real-agent.ts';
import { MARKER } from './scenarios.ts';

export interface Asked {
  /** The process that the hook gave to the SDK. */
  readonly process: SupervisedProcess;
  /** The text of the result; rejects with the iterator's error. */
  readonly result: Promise<string | undefined>;
  close(): void;
}

export interface Queries {
  /** Runs a query of the real SDK; its name is also its session. */
  ask(
    name: string,
    prompt: string | AsyncIterable<SDKUserMessage>,
    options?: Options,
    /** Called with the text of each result. */
    onResult?: (text: string | undefined) => void,
  ): Asked;
  /** Names of the queries whose agents were started, in order, even for a very short life. */
  started(): string[];
}

/** Wraps the agent's binary in a script that writes its query's name to a file. */
export async function prepareQueries(
  { api, home, marker }: { api: FakeApi; home: string; marker: string },
  supervisor: Supervisor,
): Promise<Queries> {
  const log = join(home, 'started');
  const script = join(home, 'agent');
  const lines = ['#!/bin/sh', `echo "$RIG_QUERY" >> '${log}'`, `exec '${agentBinary()}' "$@"`];
  await writeFile(log, '');
  // Start first, so that a query with a free slot starts in its own tick.
  await supervisor.start();
  await writeFile(script, `${lines.join('\n')}\n`, { mode: 0o755 });
  return {
    ask(name, prompt, options = {}, onResult = () => undefined) {
      const hook = supervisor.spawnHook({ sessionId: name });
      const spawned: SupervisedProcess[] = [];
      const running = query({
        prompt,
        options: {
          ...agentOptions(api.url, home, { [MARKER]: marker, RIG_QUERY: name }),
          pathToClaudeCodeExecutable: script,
          spawnClaudeCodeProcess(spawnOptions) {
            const process = hook(spawnOptions);
            spawned.push(process);
            return process;
          },
          ...options,
        },
      });
      const [process] = spawned;
      if (process === undefined) throw new Error('query() has not called the hook');
      const result = resultOf(running, onResult);
      // A test that fails before it awaits the result must not fail again by an unhandled rejection.
      result.catch(() => undefined);
      return { process, result, close: () => running.close() };
    },
    started: () => readFileSync(log, 'utf8').split('\n').slice(0, -1),
  };
}

async function resultOf(
  running: AsyncIterable<{ type: string; result?: string }>,
  onResult: (text: string | undefined) => void,
): Promise<string | undefined> {
  let result: string | undefined;
  for await (const message of running) {
    if (message.type !== 'result') continue;
    result = message.result;
    onResult(result);
  }
  return result;
}
