// Agents that treat their streams badly, under the real SDK: the query ends all the same.
import { join } from 'node:path';
import { query } from '@anthropic-ai/claude-agent-sdk';
import { describe, expect } from 'vitest';
import { findByMarker } from '../../kit/process-table.ts';
import { MARKER } from '../../kit/scenarios.ts';
import { CAN_WATCH, it } from '../../kit/supervised.ts';
import type { ExitReport } from '../../src/index.ts';

const SCRIPTED_AGENT = join(import.meta.dirname, '../fixtures/scripted-agent.mjs');

const MISDEEDS = [
  { misdeed: 'none', outcome: 'Done.', report: { cause: 'completed', leftovers: [] } },
  {
    misdeed: 'noise',
    outcome: 'Done.',
    report: { cause: 'completed', stderrTail: expect.stringMatching(/noise\nthe end\n$/) },
  },
  {
    misdeed: 'stillborn',
    outcome: 'Error: Claude Code process exited with code 3',
    report: { cause: 'failed', code: 3 },
  },
  {
    misdeed: 'deaf',
    outcome: 'Error: Claude Code process exited with code 4',
    report: { cause: 'failed', code: 4 },
  },
  {
    misdeed: 'holder',
    outcome: 'Done.',
    report: { cause: 'completed', leftovers: [{ command: 'sleep' }] },
  },
];

describe.runIf(CAN_WATCH)('a query ends although its agent', { timeout: 15_000 }, () => {
  it.for(MISDEEDS)(
    'commits $misdeed',
    async ({ misdeed, outcome, report }, { marker, supervise }) => {
      const exited = Promise.withResolvers<ExitReport>();
      const running = query({
        prompt: 'x'.repeat(2 ** 20),
        options: {
          env: { PATH: process.env['PATH'], [MARKER]: marker, RIG_MISDEED: misdeed },
          pathToClaudeCodeExecutable: SCRIPTED_AGENT,
          spawnClaudeCodeProcess: supervise().spawnHook({
            onSpawn: (process) => exited.resolve(process.exited),
          }),
        },
      });
      expect(await outcomeOf(running)).toBe(outcome);
      expect(await exited.promise).toMatchObject(report);
      expect(findByMarker(MARKER, marker)).toEqual([]);
    },
  );
});

async function outcomeOf(
  running: AsyncIterable<{ type: string; result?: string }>,
): Promise<string | undefined> {
  let result: string | undefined;
  try {
    for await (const message of running) if (message.type === 'result') result = message.result;
  } catch (error) {
    return String(error);
  }
  return result;
}
