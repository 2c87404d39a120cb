// Queries of the real SDK and its real agent under superviseQuery, and the same unsupervised.
import type { Options, Query, SDKMessage, SDKUserMessage } from '@anthropic-ai/claude-agent-sdk';
import { query } from '@anthropic-ai/claude-agent-sdk';
import { expect } from 'vitest';
import { type SuperviseQueryOptions, superviseQuery } from '../src/claude/index.ts';
import type { ExitReport } from '../src/index.ts';
import { endByMarker, findByMarker } from './process-table.ts';
import { agentOptions } from './real-agent.ts';
import { MARKER } from './scenarios.ts';
import { it as base } from './supervised.ts';

/** The agent refuses a sleep that stands alone or first. */
export const bash = (command: string) => ({ tools: [{ name: 'Bash', input: { command } }] });
/** It outlives every end of an agent that nobody supervises. */
export const LEAVES_A_SLEEP = bash('true; setsid sleep 300 > /dev/null 2>&1 &');
export const costs = (thousandTokens: number) => ({
  usage: { input_tokens: thousandTokens * 1000, output_tokens: 0 },
});

export const it = base
  .extend('supervisor', ({ supervise }) => supervise())
  .extend(
    'optionsOf',
    ({ api, home, marker }) =>
      (more: Options = {}): Options => ({
        ...agentOptions(api.url, home, { [MARKER]: marker }),
        ...more,
      }),
  )
  .extend('supervised', ({ supervisor }) => (options: SuperviseQueryOptions = {}) => {
    const reports: ExitReport[] = [];
    const ask = superviseQuery(query, {
      supervisor,
      onExit: (report) => reports.push(report),
      ...options,
    });
    return Object.assign(ask, { reports });
  })
  .extend(
    'alive',
    ({ marker }) =>
      () =>
        findByMarker(MARKER, marker),
  )
  /** The negative control: the same unsupervised leaves its sleep behind. */
  .extend('expectLeak', ({ marker }) => async () => {
    const left = await endByMarker(MARKER, marker);
    expect(left.map(({ command }) => command)).toContain('sleep');
  });

export async function all(running: AsyncIterable<SDKMessage>): Promise<SDKMessage[]> {
  const messages: SDKMessage[] = [];
  for await (const message of running) messages.push(message);
  return messages;
}

export async function outcome(
  running: AsyncIterable<SDKMessage>,
): Promise<{ text?: string | undefined; error?: unknown }> {
  let text: string | undefined;
  try {
    for await (const message of running)
      if (message.type === 'result' && message.subtype === 'success') text = message.result;
    return { text };
  } catch (error) {
    return { text, error };
  }
}

/** Reads on to the first such message, and leaves the query running. */
export async function until(
  running: Query,
  isWanted: (message: { type: string; subtype?: string }) => boolean,
): Promise<SDKMessage> {
  for (;;) {
    const { done, value } = await running.next();
    if (done) throw new Error('the query is over');
    if (isWanted(value as { type: string; subtype?: string })) return value;
  }
}

export async function result(running: Query): Promise<Extract<SDKMessage, { type: 'result' }>> {
  return (await until(running, ({ type }) => type === 'result')) as Extract<
    SDKMessage,
    { type: 'result' }
  >;
}

/** Reads on to the result of its tool. */
export function untilTool(running: Query): Promise<SDKMessage> {
  return until(running, ({ type }) => type === 'user');
}

/** Prompts of one query, said one by one. */
export class Prompts {
  readonly #queue: (string | undefined)[] = [];
  #wake = Promise.withResolvers<void>();

  say(...texts: (string | undefined)[]): void {
    this.#queue.push(...texts);
    this.#wake.resolve();
  }

  end(): void {
    this.say(undefined);
  }

  async *iterate(): AsyncGenerator<SDKUserMessage> {
    for (;;) {
      while (this.#queue.length === 0) {
        await this.#wake.promise;
        this.#wake = Promise.withResolvers();
      }
      const content = this.#queue.shift();
      if (content === undefined) return;
      yield { type: 'user', message: { role: 'user', content }, parent_tool_use_id: null };
    }
  }
}

const VARYING = /(?:^|_)(?:uuid|id|ids|path|at)$|_ms$|^(?:timestamp|sessionId|ttft|prompt_id)$/;

/** A message without what differs from run to run. */
export function comparable(message: SDKMessage): unknown {
  const text = JSON.stringify(message, (key, value) => (VARYING.test(key) ? '…' : value));
  return JSON.parse(text);
}
