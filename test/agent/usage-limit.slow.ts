// The real agent reports its account's usage limit in a frame, which pauses the pool.
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import {
  AGENT_MISSING,
  agentAvailable,
  agentBinary,
  agentEnvironment,
} from '../../kit/real-agent.ts';
import { createTestSupervisor } from '../../src/testing/index.ts';

/** An API that answers as it does for an account whose plan is used up. */
async function usedUp(resetsAt: number) {
  const server = http.createServer((request, response) => {
    request.resume().on('end', () => {
      response.writeHead(429, {
        'content-type': 'application/json',
        'x-should-retry': 'false',
        'anthropic-ratelimit-unified-status': 'rejected',
        'anthropic-ratelimit-unified-reset': String(resetsAt),
        'anthropic-ratelimit-unified-representative-claim': 'five_hour',
      });
      response.end(
        JSON.stringify({ type: 'error', error: { type: 'rate_limit_error', message: 'No.' } }),
      );
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    [Symbol.dispose]: () => server.close().closeAllConnections(),
  };
}

const left = agentAvailable() ? '' : ` (${AGENT_MISSING})`;

it.runIf(agentAvailable())(
  `a plan that is used up pauses the pool until it resets${left}`,
  { timeout: 60_000 },
  async () => {
    const resetsAt = Math.floor(Date.now() / 1000) + 3600;
    using api = await usedUp(resetsAt);
    const home = mkdtempSync(join(tmpdir(), 'agent-supervisor-usage-limit-'));
    const { ANTHROPIC_API_KEY: _, ...env } = agentEnvironment(api.url, home);
    await using supervisor = createTestSupervisor({ pool: { pauseOnUsageLimit: true } });
    const agent = supervisor.spawnHook()({
      command: agentBinary() ?? '',
      args: ['-p', 'Hello?', '--output-format', 'stream-json', '--verbose', '--setting-sources='],
      // Only an account with a plan has such limits, and it logs in by a token.
      env: { ...env, CLAUDE_CODE_OAUTH_TOKEN: 'sk-ant-oat01-fake-token-of-the-test-rig' },
    });
    agent.stdin.end();
    agent.stdout.resume();
    await agent.exited;
    expect(supervisor.pool.paused).toMatchObject({
      reason: 'usage limit (five_hour)',
      until: resetsAt * 1000,
    });
    rmSync(home, { recursive: true, force: true });
  },
);
