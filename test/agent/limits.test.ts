// Each limit on real agents: it ends them with its own cause, and the same run without it goes on.
import type { SDKUserMessage } from '@anthropic-ai/claude-agent-sdk';
import { describe, expect, vi } from 'vitest';
import { eventually, findByMarker, readRow } from '../../kit/process-table.ts';
import { prepareQueries, type Queries } from '../../kit/queries.ts';
import { MARKER } from '../../kit/scenarios.ts';
import { type Step, steer } from '../../kit/steer.ts';
import { it as base, CAN_WATCH_AGENTS } from '../../kit/supervised.ts';
import type { SupervisorOptions } from '../../src/index.ts';

vi.setConfig({ maxConcurrency: 3 });

const MIB = 2 ** 20;
const SAMPLING = { intervalMs: 200 };
const OFF = { startupMs: null, idleMs: null, memoryBytes: null, lifetimeMs: null };

const it = base.extend('under', ({ api, home, marker, supervise }) => {
  /** Queries under these limits. */
  return (limits: SupervisorOptions['limits']): Promise<Queries> =>
    prepareQueries({ api, home, marker }, supervise({ limits, sampling: SAMPLING }));
});

const bash = (command: string, more: object = {}): Step => ({
  tools: [{ name: 'Bash', input: { command, ...more } }],
});

describe.runIf(CAN_WATCH_AGENTS)('an agent', { concurrent: true, timeout: 40_000 }, () => {
  describe('startup', () => {
    it('that says nothing is ended', async ({ under, marker }) => {
      const { process: agent, result } = askStopped(await under({ startupMs: 1000 }));
      // Stopped, it hears no polite signal.
      const report = await agent.exited;
      expect(report).toMatchObject({ cause: 'startup', intentional: true, forced: true });
      await expect(result).rejects.toThrow('SIGKILL');
      expect(findByMarker(MARKER, marker)).toEqual([]);
    });

    it('that says nothing lives on without the limit', async ({ under }) => {
      const { process: agent, result } = askStopped(await under(OFF));
      await passed(3000);
      process.kill(agent.pid ?? 0, 'SIGCONT');
      expect(await result).toBe('Hello.');
      expect(await agent.exited).toMatchObject({ cause: 'completed' });
    });
  });

  describe('idle', () => {
    const IDLE_MS = 1500;

    it('that waits for its next message is ended', async ({ under, marker }) => {
      const conversation = converse(await under({ idleMs: IDLE_MS }));
      await conversation.results(1);
      conversation.say(steer([{ text: 'Second.' }]));
      await conversation.results(2);
      const beganMs = performance.now();
      const report = await conversation.process.exited;
      expect(report).toMatchObject({ cause: 'idle', intentional: true });
      expect(performance.now() - beganMs).toBeGreaterThan(IDLE_MS - 100);
      expect(findByMarker(MARKER, marker)).toEqual([]);
    });

    it('that waits lives on without the limit', async ({ under }) => {
      const conversation = converse(await under({ ...OFF, perKind: { tool: { idleMs: 100 } } }));
      await conversation.results(1);
      await passed(2 * IDLE_MS);
      conversation.say(steer([{ text: 'Still here.' }]));
      expect(await conversation.results(2)).toBe('Still here.');
      conversation.end();
      expect(await conversation.process.exited).toMatchObject({ cause: 'completed' });
    });

    it.for<[string, Step[]]>([
      ['whose tool sleeps', [bash('true; sleep 4'), { text: 'Slept.' }]],
      ['whose model is slow', [{ text: 'Thought.', delayMs: 4000 }]],
    ])('%s is not', async ([, steps], { under }) => {
      const conversation = converse(await under({ idleMs: IDLE_MS }), steps);
      expect(await conversation.results(1)).toBe(steps.at(-1)?.text);
      conversation.end();
      expect(await conversation.process.exited).toMatchObject({ cause: 'completed' });
    });

    it('whose tool runs in the background is not, until that has ended', async ({ under }) => {
      const conversation = converse(await under({ idleMs: IDLE_MS }), [
        bash('true; sleep 5', { run_in_background: true }),
        { text: 'It runs.' },
        { text: 'It ran.' },
      ]);
      const beganMs = performance.now();
      await conversation.results(1);
      // The agent begins this turn by itself.
      expect(await conversation.results(2)).toBe('It ran.');
      expect(performance.now() - beganMs).toBeGreaterThan(5000);
      expect(await conversation.process.exited).toMatchObject({ cause: 'idle' });
    });
  });

  it.for([
    { memoryBytes: 50 * MIB, cause: 'memory' },
    { memoryBytes: 4096 * MIB, cause: 'lifetime' },
    { memoryBytes: null, cause: 'lifetime' },
  ])('that hangs, with memory of %o', async ({ memoryBytes, cause }, { under, marker }) => {
    const queries = await under({ memoryBytes, lifetimeMs: 4000 });
    const { process: agent, result } = queries.ask('hangs', steer([{ hang: true }]));
    expect(await agent.exited).toMatchObject({ cause, intentional: true });
    await result.catch(() => undefined);
    expect(findByMarker(MARKER, marker)).toEqual([]);
  });
});

/** Asks an agent that is stopped before it says a word. */
function askStopped(queries: Queries) {
  const asked = queries.ask('stopped', steer([{ text: 'Hello.' }]));
  const { pid = 0 } = asked.process;
  expect(readRow(pid)?.ppid).toBe(process.pid);
  process.kill(pid, 'SIGSTOP');
  return asked;
}

/** A query whose input stays open. */
function converse(queries: Queries, steps: Step[] = [{ text: 'First.' }]) {
  let said = Promise.withResolvers<string | undefined>();
  const say = (text: string | undefined): void => said.resolve(text);
  async function* input(): AsyncGenerator<SDKUserMessage> {
    for (;;) {
      const content = await said.promise;
      if (content === undefined) return;
      said = Promise.withResolvers();
      yield { type: 'user', message: { role: 'user', content }, parent_tool_use_id: null };
    }
  }
  const texts: (string | undefined)[] = [];
  const asked = queries.ask('talks', input(), {}, (text) => texts.push(text));
  say(steer(steps));
  return {
    process: asked.process,
    say,
    end: () => say(undefined),
    /** The text of the n-th result, when it has come. */
    results: async (count: number) => {
      await eventually(() => texts.length >= count, { timeoutMs: 20_000 });
      return texts[count - 1];
    },
  };
}

async function passed(ms: number): Promise<void> {
  const beganMs = performance.now();
  await eventually(() => performance.now() - beganMs > ms);
}
