// Real queries and a real supervisor, with fake agents.
import { query, type SDKMessage } from '@anthropic-ai/claude-agent-sdk';
import { describe, expect, it } from 'vitest';
import { eventually } from '../../../kit/process-table.ts';
import { superviseQuery } from '../../../src/claude/index.ts';
import type { ExitReport } from '../../../src/index.ts';
import {
  createTestSupervisor,
  FakeClock,
  fakeAgent,
  hang,
  result,
  say,
} from '../../../src/testing/index.ts';

async function lastOf(running: AsyncIterable<SDKMessage>): Promise<string | undefined> {
  let last: string | undefined;
  for await (const message of running)
    if (message.type === 'result' && message.subtype === 'success') last = message.result;
  return last;
}

describe('a supervised fake agent', () => {
  it('charges its session', async () => {
    const agent = fakeAgent([say('Hi.'), result({ costUsd: 0.25 })]);
    await using supervisor = createTestSupervisor({ agent });
    const reports: ExitReport[] = [];
    const ask = superviseQuery(query, {
      ...{ supervisor, sessionId: 's', budget: { perSessionUsd: 0.2 } },
      onExit: (report) => reports.push(report),
    });
    expect(await lastOf(ask({ prompt: 'Hello?' }))).toBe('Hi.');
    expect(reports).toMatchObject([{ cause: 'completed', code: 0, sessionId: 's' }]);
    expect(supervisor.session('s')).toMatchObject({ live: 0, spent: { usd: 0.25 } });
    await expect(lastOf(ask({ prompt: 'Again?' }))).rejects.toMatchObject({
      code: 'BUDGET_EXCEEDED',
    });
    expect(agent.calls).toHaveLength(1);
  });

  it('waits for its slot', async () => {
    const agent = fakeAgent(({ args }) => [
      say(args.includes('--continue') ? 'Second.' : 'First.'),
    ]);
    await using supervisor = createTestSupervisor({ agent, pool: { concurrency: 1 } });
    const ask = superviseQuery(query, { supervisor });
    const answers = [ask({ prompt: 'x' }), ask({ prompt: 'y', options: { continue: true } })];
    expect(await Promise.all(answers.map(lastOf))).toEqual(['First.', 'Second.']);
  });

  it('runs on a lease by its hook, which holds the slot before and after', async () => {
    const agent = fakeAgent([say('Hi.')]);
    await using supervisor = createTestSupervisor({ agent, pool: { concurrency: 1 } });
    await using lease = await supervisor.acquire({ sessionId: 's' });
    const hooked = { spawnClaudeCodeProcess: lease.spawnHook() };
    const pathToClaudeCodeExecutable = 'fake-agent';
    const options = { ...hooked, pathToClaudeCodeExecutable };
    expect(await lastOf(query({ prompt: 'Hello?', options }))).toBe('Hi.');
    // The SDK's own loop ends before its agent's tree is dead.
    await eventually(() => supervisor.list().length === 0);
    const ask = superviseQuery(query, { lease });
    expect(await lastOf(ask({ prompt: 'Again?' }))).toBe('Hi.');
    expect(supervisor.session('s')).toMatchObject({ processes: 2, live: 0 });
    await expect(supervisor.acquire({ timeoutMs: 1 })).rejects.toMatchObject({
      code: 'POOL_TIMEOUT',
    });
  });

  it('is ended with its whole query by an abort', async () => {
    const agent = fakeAgent([hang()]);
    await using supervisor = createTestSupervisor({ agent, ladder: { stdinEofMs: 10 } });
    const abortController = new AbortController();
    const running = superviseQuery(query, { supervisor })({
      prompt: 'Hello?',
      options: { abortController },
    });
    await expect(
      (async () => {
        for await (const message of running) if (message.type === 'system') abortController.abort();
      })(),
    ).rejects.toThrow();
    expect(await agent.calls[0]?.exited).toEqual({ code: 143, signal: null });
    expect(supervisor.list()).toEqual([]);
  });

  it('is idle when its turn is over', async () => {
    const clock = new FakeClock();
    const agent = fakeAgent([say('Hi.')]);
    await using supervisor = createTestSupervisor({ agent, clock, guardian: false });
    const process = supervisor.spawnHook({ limits: { idleMs: 60_000 } })({
      command: 'claude',
      args: ['--input-format', 'stream-json'],
    });
    process.stdout.resume();
    process.stdin.write(`${JSON.stringify({ type: 'user', message: { content: 'x' } })}\n`);
    let report: ExitReport | undefined;
    void process.exited.then((end) => {
      report = end;
    });
    // Reads of the process table take real time.
    await eventually(() => clock.advance(5_000).then(() => report));
    expect(report).toMatchObject({ cause: 'idle', code: 0 });
  });
});
