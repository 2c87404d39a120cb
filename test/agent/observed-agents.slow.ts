// What the real agent records of its own running sessions, while a host resumes one of them.
import { type Options, query, type SDKUserMessage } from '@anthropic-ai/claude-agent-sdk';
import { describe, expect } from 'vitest';
import { eventually, readRow } from '../../kit/process-table.ts';
import { agentBinary, agentOptions } from '../../kit/real-agent.ts';
import { MARKER } from '../../kit/scenarios.ts';
import { steer } from '../../kit/steer.ts';
import { it as base, CAN_WATCH_AGENTS } from '../../kit/supervised.ts';
import { type SupervisedProcess, type Supervisor, SupervisorError } from '../../src/index.ts';

const it = base.extend('talk', ({ api, home, marker }, { onCleanup }) => {
  const open: (() => void)[] = [];
  const ends: Promise<unknown>[] = [];
  onCleanup(async () => {
    for (const close of open) close();
    await Promise.all(ends);
  });
  /** A query whose agent lives until it is closed; without a supervisor it is the user's own. */
  return (options: Options = {}, supervisor?: Supervisor) => {
    const closed = Promise.withResolvers<void>();
    const message = { role: 'user', content: steer([{ text: 'Hello.' }]) } as const;
    async function* prompt(): AsyncGenerator<SDKUserMessage> {
      yield { type: 'user', message, parent_tool_use_id: null };
      await closed.promise;
    }
    let process: SupervisedProcess | undefined;
    const hook = supervisor?.spawnHook();
    const running = query({
      prompt: prompt(),
      options: {
        ...agentOptions(api.url, home, { [MARKER]: marker }),
        pathToClaudeCodeExecutable: agentBinary() as string,
        ...(hook && {
          spawnClaudeCodeProcess: (request) => {
            process = hook(request);
            return process;
          },
        }),
        ...options,
      },
    });
    const answered = Promise.withResolvers<string>();
    answered.promise.catch(() => undefined);
    const over = (async () => {
      for await (const each of running)
        if (each.type === 'result') answered.resolve(each.session_id);
    })().catch((error: unknown) => error);
    void over.then((error) => answered.reject(error));
    open.push(closed.resolve);
    ends.push(over);
    const handle = () => process as SupervisedProcess;
    return { answered: answered.promise, over, close: closed.resolve, handle };
  };
});

describe.runIf(CAN_WATCH_AGENTS)(
  "a session that the user's own agent runs",
  { timeout: 90_000 },
  () => {
    it('is busy for a host, with the pid and the kind that the agent has recorded', async ({
      talk,
      supervise,
    }) => {
      const own = talk();
      const resume = await own.answered;
      const error = await talk({ resume }, supervise()).over;
      expect(error).toBeInstanceOf(SupervisorError);
      expect(error).toMatchObject({
        code: 'CONVERSATION_BUSY',
        data: { conversationId: resume, pid: expect.any(Number), kind: expect.any(String) },
      });
      const { data } = error as SupervisorError;
      expect(readRow(data?.['pid'] as number)?.args[0]).toBe(agentBinary());
      // The control: nobody looks.
      const blind = supervise({ conversation: { observeCli: false } });
      const shared = talk({ resume }, blind);
      expect(await shared.answered).toBe(resume);
    });

    it('is waited for, and resumed when that has ended; its own record is never in the way', async ({
      talk,
      supervise,
    }) => {
      const own = talk();
      const resume = await own.answered;
      const supervisor = supervise({ conversation: { onDuplicate: 'wait' } });
      await supervisor.start();
      const reasons: string[] = [];
      supervisor.on('queued', ({ reason }) => reasons.push(reason));
      const later = talk({ resume }, supervisor);
      await eventually(() => reasons.length > 0);
      expect(reasons[0]).toContain('which no supervisor has started');
      expect(later.handle().pid).toBeUndefined();
      own.close();
      expect(await later.answered).toBe(resume);
      later.close();
      expect((await later.handle().exited).cause).toBe('completed');
    });
  },
);
