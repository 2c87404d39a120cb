// Whatever prevents an agent's start comes out of query() in our words, and costs no slot.
import type { Options } from '@anthropic-ai/claude-agent-sdk';
import { describe, expect } from 'vitest';
import { type Asked, prepareQueries, type Queries } from '../../kit/queries.ts';
import { MARKER } from '../../kit/scenarios.ts';
import { steer } from '../../kit/steer.ts';
import { it as base, CAN_WATCH_AGENTS } from '../../kit/supervised.ts';
import { isSupervisorError, type SupervisorErrorCode } from '../../src/index.ts';

const it = base
  .extend('supervisor', ({ supervise }) =>
    supervise({ pool: { concurrency: 1, hardCap: 1, hookTimeoutMs: 3000 } }),
  )
  .extend('queries', ({ api, home, marker, supervisor }) =>
    prepareQueries({ api, home, marker }, supervisor),
  );

describe.runIf(CAN_WATCH_AGENTS)('query() says why nothing was started:', () => {
  it('POOL_TIMEOUT, where it has waited for room below the hard cap', async ({
    marker,
    supervisor,
    queries,
  }) => {
    const env = { ...process.env, [MARKER]: marker };
    const tool = supervisor.spawn({ kind: 'tool', command: 'sleep', args: ['300'], env });
    const words = '1 processes are alive, and pool.hardCap is 1.';
    await refused(ask(queries), 'POOL_TIMEOUT', words);
    await tool.terminate();
    await isUsable(queries);
  });

  it.for([
    ['COMMAND_NOT_FOUND', { pathToClaudeCodeExecutable: '/nowhere/claude' }, '"/nowhere/claude"'],
    ['CWD_NOT_FOUND', { cwd: '/nowhere' }, 'cwd "/nowhere" is not a folder.'],
  ] as const)('%s', async ([code, options, words], { queries }) => {
    await refused(ask(queries, options), code, words);
    await isUsable(queries);
  });

  it('ABORTED, when its session is reaped while it is queued', async ({ supervisor, queries }) => {
    const lease = await supervisor.acquire();
    const asked = ask(queries);
    await supervisor.reapSession('refused');
    await refused(asked, 'ABORTED', 'Session "refused" was reaped while this request waited');
    lease.release();
    await isUsable(queries);
  });

  it('STOPPING, when it is queued and after the stop', async ({ supervisor, queries }) => {
    await supervisor.acquire();
    const asked = ask(queries);
    const stopped = supervisor.stop();
    await refused(asked, 'STOPPING', 'The supervisor is stopping; nothing was started.');
    await stopped;
    expect(() => ask(queries)).toThrow('The supervisor has stopped; nothing was started.');
    await supervisor.start();
    await isUsable(queries);
  });
});

function ask(queries: Queries, options: Options = {}): Asked {
  return queries.ask('refused', steer([{ text: 'Never.' }]), options);
}

async function refused(
  { process, result }: Asked,
  code: SupervisorErrorCode,
  words: string,
): Promise<void> {
  await expect(result).rejects.toSatisfy((error) => isSupervisorError(error, code));
  await expect(result).rejects.toThrow(words);
  await expect(process.started).rejects.toThrow(words);
  expect(await process.exited).toMatchObject({ pid: undefined, cause: 'not-started' });
}

/** Nothing was started so far, and the slot is there for the next. */
async function isUsable(queries: Queries): Promise<void> {
  expect(queries.started()).toEqual([]);
  expect(await queries.ask('next', steer([{ text: 'Next.' }])).result).toBe('Next.');
}
