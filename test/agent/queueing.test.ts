// Real queries that wait for a slot in a pool of one.
import { PassThrough } from 'node:stream';
import type { Options, SDKUserMessage } from '@anthropic-ai/claude-agent-sdk';
import { describe, expect, vi } from 'vitest';
import { eventually, findByMarker, readRow } from '../../kit/process-table.ts';
import { type Asked, prepareQueries, type Queries } from '../../kit/queries.ts';
import { MARKER } from '../../kit/scenarios.ts';
import { steer } from '../../kit/steer.ts';
import { it as base, CAN_WATCH_AGENTS } from '../../kit/supervised.ts';

vi.setConfig({ maxConcurrency: 3 });

const it = base
  .extend('supervisor', ({ supervise }) => supervise({ pool: { concurrency: 1 } }))
  .extend('queries', ({ api, home, marker, supervisor }) =>
    prepareQueries({ api, home, marker }, supervisor),
  );

describe.runIf(CAN_WATCH_AGENTS)('a query in a pool of one', { concurrent: true }, () => {
  it('waits for the slot, then runs to its end', async ({ api, marker, queries }) => {
    const first = queries.ask('first', steer([{ gate: marker, text: 'First.' }]));
    const second = askQueued(queries, 'second');
    const third = askQueued(queries, 'third');
    const seen = [second, third].map(async ({ process }) => {
      await process.started;
      return childrenWith(marker);
    });
    api.open(marker);
    expect(await first.result).toBe('First.');
    expect(await second.result).toBe('It was second.');
    expect(await third.result).toBe('It was third.');
    expect(queries.started()).toEqual(['first', 'second', 'third']);
    expect(await Promise.all(seen)).toEqual([[second.process.pid], [third.process.pid]]);
  });

  it('keeps a large prompt whole while it waits', async ({ queries, supervisor }) => {
    const lease = await supervisor.acquire();
    // The agent itself refuses 8 MB as too long; test/system/process/streams.test.ts sends those.
    const prompt = steer([{ text: 'Read.' }], 'x '.repeat(2 ** 19));
    const { process, result } = queries.ask('large', streamed(prompt));
    await eventually(() => process.stdin.writableEnded);
    lease.release();
    expect(await result).toBe('Read.');
  });

  const CANCELS = ['abort', 'close'].flatMap((how) => [
    { how, race: false, when: 'while the slot is taken' },
    { how, race: true, when: "although the slot becomes free before the SDK's signal" },
  ]);
  it.for(CANCELS)(
    'never starts after $how, $when',
    async ({ how, race }, { supervisor, queries }) => {
      const lease = await supervisor.acquire();
      const abortController = new AbortController();
      const cancelled = askQueued(queries, 'cancelled', { abortController });
      const next = askQueued(queries, 'next');
      if (how === 'abort') abortController.abort();
      else cancelled.close();
      if (race) lease.release();

      if (how === 'abort') await expect(cancelled.result).rejects.toThrow('Operation aborted');
      else expect(await cancelled.result).toBeUndefined();
      const report = await cancelled.process.exited;
      expect(report).toMatchObject({ cause: 'not-started', intentional: true });
      lease.release();
      expect(await next.result).toBe('It was next.');
      expect(queries.started()).toEqual(['next']);
    },
  );

  it('starts in the tick of a free slot, with no stream between it and its host', async ({
    queries,
  }) => {
    // No await before the look: what is true then was so when the hook returned.
    const only = queries.ask('only', steer([{ text: 'At once.' }]));
    const { pid = 0, stdin, stdout, stderr } = only.process;
    expect(readRow(pid)?.ppid).toBe(process.pid);
    for (const stream of [stdin, stdout, stderr]) expect(stream).not.toBeInstanceOf(PassThrough);
    expect(await only.result).toBe('At once.');
  });
});

/** Asks while the slot is taken. */
function askQueued(queries: Queries, name: string, options: Options = {}): Asked {
  const asked = queries.ask(name, steer([{ text: `It was ${name}.` }]), options);
  expect(asked.process.pid).toBeUndefined();
  expect(asked.process.stdin).toBeInstanceOf(PassThrough);
  return asked;
}

/** Which marked processes are children of ours: the agents, and nothing that they start. */
function childrenWith(marker: string): number[] {
  return findByMarker(MARKER, marker)
    .filter(({ ppid }) => ppid === process.pid)
    .map(({ pid }) => pid);
}

async function* streamed(content: string): AsyncGenerator<SDKUserMessage> {
  yield { type: 'user', message: { role: 'user', content }, parent_tool_use_id: null };
}
