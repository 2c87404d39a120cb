// A blocked host has not read the output written meanwhile, so it does not count as silence.
import { describe, expect } from 'vitest';
import { MARKER } from '../../../../kit/scenarios.ts';
import { CAN_WATCH, it } from '../../../../kit/supervised.ts';
import type { Limits } from '../../../../src/index.ts';

const LIMIT_MS = 600;
const LIFETIME_MS = 3500;
const RESULT = `echo '{"type":"result"}'`;
const WORK = `echo '{"type":"assistant"}'`;

describe.runIf(CAN_WATCH)('a host that is blocked', { timeout: 20_000 }, () => {
  it.for<[string, string, Limits, boolean]>([
    ['a first word', 'sleep 0.3; echo ready; exec sleep 300', { startupMs: LIMIT_MS }, false],
    ['work', `${RESULT}; sleep 0.3; ${WORK}; exec sleep 300`, { idleMs: LIMIT_MS }, true],
  ])(
    'while %s comes ends no process',
    async ([, script, limits, isAgent], { supervise, marker }) => {
      const supervisor = supervise({ limits: { lifetimeMs: LIFETIME_MS } });
      await supervisor.start();
      const request = {
        command: '/bin/sh',
        args: ['-c', script],
        env: { PATH: process.env['PATH'], [MARKER]: marker },
      };
      const child = isAgent
        ? supervisor.spawnHook({ limits })(request)
        : supervisor.spawn({ ...request, limits });
      child.stdout.resume();
      block(3 * LIMIT_MS);
      expect(await child.exited).toMatchObject({ cause: 'lifetime' });
    },
  );
});

function block(ms: number): void {
  const untilMs = performance.now() + ms;
  while (performance.now() < untilMs);
}
