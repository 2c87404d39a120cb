import { type Options, query } from '@anthropic-ai/claude-agent-sdk';
import { type FakeApi, startFakeApi } from '../../kit/fake-api.ts';
import { agentAvailable, agentOptions } from '../../kit/real-agent.ts';
import { createSupervisor } from '../built.ts';
import { temporaryFolder } from '../children.ts';
import { interleave, median, milliseconds, type Row } from '../row.ts';

const PAIRS = 40;

export const row: Row = {
  name: 'real query, first message',
  target: '≤ 25 ms over the SDK alone',
  async measure() {
    if (!agentAvailable()) return { figures: [], ratio: 'no agent for this platform', ok: true };
    using folder = temporaryFolder();
    using home = temporaryFolder();
    const api = await startFakeApi();
    await using supervisor = createSupervisor({ stateDir: folder.path });
    let ended: Promise<unknown> = Promise.resolve();
    const spawnClaudeCodeProcess = supervisor.spawnHook({
      onSpawn: (process) => {
        ended = process.exited;
      },
    });
    const { supervised, alone } = await interleave(
      PAIRS,
      {
        async supervised() {
          const tookMs = await firstMessageMs(api, home.path, { spawnClaudeCodeProcess });
          await ended;
          return tookMs;
        },
        alone: () => firstMessageMs(api, home.path, {}),
      },
      { warmUp: 3 },
    );
    await api.close();
    const moreMs = median(supervised.map((tookMs, pair) => tookMs - (alone[pair] ?? Number.NaN)));
    return {
      figures: [
        { who: 'supervised', value: milliseconds(median(supervised)) },
        { who: 'the SDK alone', value: milliseconds(median(alone)) },
      ],
      ratio: `${moreMs < 0 ? '−' : '+'} ${milliseconds(Math.abs(moreMs))} (median of pairs)`,
      ok: moreMs <= 25,
    };
  },
};

/** From the call to the agent's first message; then the query runs to its end. */
async function firstMessageMs(api: FakeApi, home: string, extra: Options): Promise<number> {
  const beganMs = performance.now();
  let tookMs: number | undefined;
  const options = { ...agentOptions(api.url, home), ...extra };
  for await (const _message of query({ prompt: 'Hello?', options })) {
    tookMs ??= performance.now() - beganMs;
  }
  return tookMs ?? Number.NaN;
}
