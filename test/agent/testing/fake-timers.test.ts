// A test with the runner's fake timers: waits for real processes still go on.
import { once } from 'node:events';
import { query } from '@anthropic-ai/claude-agent-sdk';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CAN_WATCH } from '../../../kit/supervised.ts';
import {
  createTestSupervisor,
  exit,
  expectNoLeaks,
  fakeAgent,
  misbehave,
  say,
} from '../../../src/testing/index.ts';

/** The timers that jest fakes by default, and that vitest can fake. */
const FAKED = [
  'setTimeout',
  'clearTimeout',
  'setInterval',
  'clearInterval',
  'setImmediate',
  'clearImmediate',
  'queueMicrotask',
  'performance',
  'hrtime',
  'Date',
] as const;
const LADDER = { stdinEofMs: 20, termMs: 20 };

describe.runIf(CAN_WATCH)('under fake timers', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: [...FAKED] }));
  afterEach(() => void vi.useRealTimers());

  it('a fake agent answers, and reports its exit', async () => {
    const agent = fakeAgent([say('Hi.'), exit(3)]);
    await using supervisor = createTestSupervisor({ agent });
    const running = query({
      prompt: 'x',
      options: { spawnClaudeCodeProcess: supervisor.spawnHook() },
    });
    const drained = (async () => {
      for await (const _ of running);
    })();
    await expect(drained).rejects.toThrow('exited with code 3');
    expect(await agent.calls[0]?.exited).toEqual({ code: 3, signal: null });
  });

  it('one agent starts after the other', async () => {
    const agent = fakeAgent([say('Hi.')]);
    await using supervisor = createTestSupervisor({ agent, pool: { concurrency: 1 } });
    const ask = async () => {
      const spawnClaudeCodeProcess = supervisor.spawnHook();
      for await (const _ of query({ prompt: 'x', options: { spawnClaudeCodeProcess } }));
    };
    await Promise.all([ask(), ask(), ask()]);
    expect(agent.calls).toHaveLength(3);
  });

  it('a queued start is refused', async () => {
    await using supervisor = createTestSupervisor({ pool: { concurrency: 1 } });
    const lease = await supervisor.acquire();
    const queued = supervisor.spawn(misbehave.ignoresEof());
    const failed = new Promise((resolve) => queued.once('error', resolve));
    await supervisor.stop();
    expect(await failed).toMatchObject({ code: 'STOPPING' });
    lease.release();
  });

  it('a real process is ended, and proven dead', async () => {
    const supervisor = createTestSupervisor({ ladder: LADDER });
    const process = supervisor.spawn(misbehave.ignoresSigterm());
    // It ignores signals only once it has printed this.
    await once(process.stdout, 'data');
    await expect(expectNoLeaks({ supervisor, graceMs: 50 })).rejects.toThrow('1 live process');
    await process.terminate();
    expect(await process.exited).toMatchObject({ cause: 'terminated', signal: 'SIGKILL' });
    await supervisor.dispose();
  });
});
