// One agent per conversation, on real agents: what the SDK resumes, forks, continues and names itself.
import { randomUUID } from 'node:crypto';
import { type Options, query, type SDKUserMessage } from '@anthropic-ai/claude-agent-sdk';
import { describe, expect, vi } from 'vitest';
import { eventually, findByMarker, readRow } from '../../kit/process-table.ts';
import { agentBinary, agentOptions } from '../../kit/real-agent.ts';
import { MARKER } from '../../kit/scenarios.ts';
import { type Step, steer } from '../../kit/steer.ts';
import { it as base, CAN_WATCH_AGENTS } from '../../kit/supervised.ts';
import type { OnDuplicate, SupervisedProcess, Supervisor } from '../../src/index.ts';

vi.setConfig({ maxConcurrency: 2 });

/** A query whose input stays open, so that its agent lives on after its turn. */
interface Talk {
  readonly process: SupervisedProcess;
  /** The agent's own id of its session, from its first message. */
  readonly conversation: Promise<string>;
  /** When the first result has come. */
  readonly answered: Promise<string | undefined>;
  readonly over: Promise<unknown>;
}

const it = base.extend('talk', ({ api, home, marker }, { onCleanup }) => {
  const open: (() => void)[] = [];
  onCleanup(() => {
    for (const close of open) close();
  });
  return (supervisor: Supervisor, options: Options = {}, steps: Step[] = [{ text: 'Hello.' }]) => {
    const hook = supervisor.spawnHook();
    const closed = Promise.withResolvers<void>();
    open.push(() => closed.resolve());
    async function* input(): AsyncGenerator<SDKUserMessage> {
      const message = { role: 'user', content: steer(steps) } as const;
      yield { type: 'user', message, parent_tool_use_id: null };
      await closed.promise;
    }
    let process: SupervisedProcess | undefined;
    const running = query({
      prompt: input(),
      options: {
        ...agentOptions(api.url, home, { [MARKER]: marker }),
        pathToClaudeCodeExecutable: agentBinary() as string,
        spawnClaudeCodeProcess: (request) => {
          process = hook(request);
          return process;
        },
        ...options,
      },
    });
    const id = Promise.withResolvers<string>();
    const answer = Promise.withResolvers<string | undefined>();
    const over = (async () => {
      for await (const message of running) {
        if ('session_id' in message && message.session_id) id.resolve(message.session_id);
        if (message.type === 'result') answer.resolve('result' in message ? message.result : '');
      }
    })().catch((error: unknown) => error);
    void over.then((error) => {
      id.reject(error);
      answer.reject(error);
    });
    id.promise.catch(() => undefined);
    answer.promise.catch(() => undefined);
    if (process === undefined) throw new Error('query() has not called the hook');
    return { process, conversation: id.promise, answered: answer.promise, over } as Talk;
  };
});

const isAlive = (pid: number | undefined): boolean => readRow(pid ?? 0) !== undefined;
const agents = (marker: string) =>
  findByMarker(MARKER, marker).filter((row) => row.ppid === process.pid);

describe.runIf(CAN_WATCH_AGENTS)('a conversation', { concurrent: true, timeout: 60_000 }, () => {
  it('that is resumed loses its older agent first, whose id only its first message told', async ({
    supervise,
    talk,
    marker,
  }) => {
    const supervisor = supervise({ pool: { concurrency: 3 } });
    const older = talk(supervisor);
    const conversation = await older.conversation;
    await older.answered;
    const pid = older.process.pid;
    let overlap = true;
    const resumed = talk(supervisor, { resume: conversation });
    resumed.process.on('exit', () => undefined);
    void resumed.process.started.then(() => {
      overlap = isAlive(pid);
    });
    expect(await older.process.exited).toMatchObject({ cause: 'duplicate', intentional: true });
    await resumed.answered;
    expect(overlap).toBe(false);
    expect(await resumed.conversation).toBe(conversation);
    expect(agents(marker).map((row) => row.pid)).toEqual([resumed.process.pid]);
  });

  it('is replaced in a pool of one too', async ({ supervise, talk }) => {
    const supervisor = supervise({ pool: { concurrency: 1 } });
    const older = talk(supervisor);
    const resume = await older.conversation;
    await older.answered;
    const resumed = talk(supervisor, { resume });
    expect((await older.process.exited).cause).toBe('duplicate');
    await resumed.answered;
    expect(supervisor.list()).toMatchObject([{ id: resumed.process.id }]);
  });

  it.for<[OnDuplicate, 'busy' | 'shared']>([
    ['reject', 'busy'],
    ['allow', 'shared'],
  ])('that has an agent is, under %s, %s', async ([onDuplicate, outcome], { supervise, talk }) => {
    const supervisor = supervise({ pool: { concurrency: 3 }, conversation: { onDuplicate } });
    const warnings: string[] = [];
    supervisor.on('warning', ({ code }) => warnings.push(code));
    const older = talk(supervisor);
    const resume = await older.conversation;
    await older.answered;
    const second = talk(supervisor, { resume });
    if (outcome === 'busy') {
      const { cause, error } = await second.process.exited;
      expect({ cause, code: error?.code }).toEqual({
        cause: 'not-started',
        code: 'CONVERSATION_BUSY',
      });
      expect(String(await second.over)).toContain(resume);
    } else {
      // The control: this is what the other policies prevent.
      await second.answered;
      expect(warnings).toContain('CONVERSATION_SHARED');
    }
    expect(isAlive(older.process.pid)).toBe(true);
  });

  it('that is forked is another one: both live, and the fork is replaced alone', async ({
    supervise,
    talk,
  }) => {
    const supervisor = supervise({ pool: { concurrency: 3 } });
    const first = talk(supervisor);
    const resume = await first.conversation;
    await first.answered;
    const fork = talk(supervisor, { resume, forkSession: true });
    const forked = await fork.conversation;
    await fork.answered;
    expect(forked).not.toBe(resume);
    const again = talk(supervisor, { resume: forked });
    expect((await fork.process.exited).cause).toBe('duplicate');
    await again.answered;
    expect(isAlive(first.process.pid)).toBe(true);
  });

  it('whose id is given to a new one is busy, whatever the policy: the agent would refuse it', async ({
    supervise,
    talk,
  }) => {
    const supervisor = supervise({ pool: { concurrency: 3 } });
    const sessionId = randomUUID();
    const first = talk(supervisor, { sessionId });
    await first.answered;
    expect(await first.conversation).toBe(sessionId);
    const second = talk(supervisor, { sessionId });
    expect((await second.process.exited).error?.code).toBe('CONVERSATION_BUSY');
    const other = talk(supervisor);
    const resume = await other.conversation;
    await other.answered;
    const fork = talk(supervisor, { resume, forkSession: true, sessionId });
    expect((await fork.process.exited).error?.code).toBe('CONVERSATION_BUSY');
    expect(isAlive(first.process.pid)).toBe(true);
    // The control: the agent does refuse it, even when nobody runs that conversation any more.
    await first.process.terminate();
    const refused = await talk(supervisor, { resume, forkSession: true, sessionId }).process.exited;
    expect(refused).toMatchObject({
      cause: 'failed',
      stderrTail: expect.stringContaining('in use'),
    });
  });

  it('that is continued without a name ends its older agent as soon as it says which it is', async ({
    supervise,
    talk,
  }) => {
    const supervisor = supervise({ pool: { concurrency: 3 } });
    const older = talk(supervisor);
    const conversation = await older.conversation;
    await older.answered;
    const continued = talk(supervisor, { continue: true });
    expect(await continued.conversation).toBe(conversation);
    expect((await older.process.exited).cause).toBe('duplicate');
    await continued.answered;
    expect(supervisor.list()).toMatchObject([{ id: continued.process.id }]);
  });

  it("is another supervisor's while its agent lives, and can be taken over", async ({
    supervise,
    talk,
  }) => {
    const [theirs, ours] = [
      supervise({ pool: { concurrency: 3 } }),
      supervise({ pool: { concurrency: 3 } }),
    ];
    const older = talk(theirs);
    const resume = await older.conversation;
    await older.answered;
    const refused = talk(ours, { resume });
    expect((await refused.process.exited).error?.code).toBe('CONVERSATION_BUSY');
    expect(isAlive(older.process.pid)).toBe(true);
    const taker = supervise({
      pool: { concurrency: 3 },
      conversation: { onDuplicate: 'takeover' },
    });
    const taken = talk(taker, { resume });
    expect(await older.process.exited).toMatchObject({ cause: 'duplicate', intentional: true });
    await taken.answered;
    await eventually(() => theirs.list().length === 0);
    // Whose agent it is now, its older owner may not touch.
    expect((await talk(theirs, { resume }).process.exited).error?.code).toBe('CONVERSATION_BUSY');
  });
});
