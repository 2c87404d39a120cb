// Limits under the runtimes that have their own streams and timers.
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { runHost } from '../../../../kit/host.ts';
import { runtime } from '../../../../kit/runtimes.ts';
import { MARKER } from '../../../../kit/scenarios.ts';
import { LINGER_MS } from '../../../../kit/start-program.ts';
import { CAN_WATCH, it } from '../../../../kit/supervised.ts';

const RUNTIMES = [
  { name: 'this Node', runtime: process.execPath },
  { name: 'the current Bun', runtime: await runtime('bun-current') },
  { name: 'Bun 1.2.2', runtime: await runtime('bun-1.2.2') },
].filter((entry) => entry.runtime !== undefined);

describe.runIf(CAN_WATCH)('the limits of a host', { timeout: 30_000 }, () => {
  it.for(RUNTIMES)('work under $name', async ({ runtime }, { home, marker }) => {
    const env = { PATH: process.env['PATH'] ?? '', HOME: home, [MARKER]: marker };
    const args = [join(home, 'state')];
    const end = await runHost('limits.ts', { args, env, cwd: home, runtime });
    expect(end).toMatchObject({ code: 0, stderr: '' });
    expect(Object.fromEntries(JSON.parse(end.lines[0] ?? '[]'))).toEqual({
      silent: 'startup',
      heard: 'lifetime',
      idle: 'idle',
      busy: 'lifetime',
      large: 'memory',
      'agent in no turn': 'idle',
      'agent in a turn': 'lifetime',
    });
    expect(end.lingeredMs).toBeLessThan(LINGER_MS);
  });
});
