// A session's clock is nobody's to restart: real hosts, one after the other, one of them killed.
import { describe, expect } from 'vitest';
import type { ExitReport, SessionInfo, SpawnRequest } from '../../src/index.ts';
import { CAN_CONTAIN, type ContainedHost, it, SLEEPER } from '../support/containment.ts';
import { eventually } from '../support/process-table.ts';

/** Room for a host's start on a busy machine. */
const LIMIT_MS = 6000;

const about = async (host: ContainedHost, sessionId: string) =>
  (await host.ask({ do: 'session', sessionId }))['info'] as SessionInfo | undefined;

async function start(host: ContainedHost, request: Partial<SpawnRequest>): Promise<string> {
  const answer = await host.ask({ do: 'spawn', request: { ...SLEEPER, ...request } });
  return (answer['id'] as string | undefined) ?? `refused: ${answer['code']}`;
}

describe.runIf(CAN_CONTAIN)('a session', () => {
  it('goes on in the host after one that was killed, to its end and not a start further', async ({
    area,
  }) => {
    const first = await area.readyHost();
    await start(first, { sessionId: 's', maxWallClockMs: LIMIT_MS });
    // The same without a limit: what lives on shows that nothing else ends it.
    const before = (await about(first, 's')) as SessionInfo;
    expect(before).toMatchObject({ processes: 1, live: 1, maxWallClockMs: LIMIT_MS });
    first.kill('SIGKILL');
    await first.exited;

    const second = await area.readyHost();
    const id = await start(second, { sessionId: 's' });
    const unlimited = await start(second, { sessionId: 'without end', maxWallClockMs: null });
    const after = (await about(second, 's')) as SessionInfo;
    expect(after).toMatchObject({ createdAt: before.createdAt, processes: 2, live: 1 });
    expect(after.ageMs).toBeGreaterThan(before.ageMs);

    const { report } = await second.ask({ do: 'exited', id });
    expect(report as ExitReport).toMatchObject({ cause: 'wall-clock', intentional: true });
    expect((await about(second, 's'))?.ageMs).toBeGreaterThan(LIMIT_MS);
    expect(await start(second, { sessionId: 's' })).toBe('refused: SESSION_EXPIRED');
    expect((await second.ask({ do: 'list' }))['report']).toMatchObject([{ id: unlimited }]);

    const third = await area.readyHost();
    expect(await start(third, { sessionId: 's' })).toBe('refused: SESSION_EXPIRED');
    expect(await about(third, 's')).toMatchObject({
      createdAt: before.createdAt,
      processes: 2,
      live: 0,
      expired: true,
      lastEnd: { cause: 'wall-clock' },
    });
  });

  it('is one for hosts that begin it in the same moment', async ({ area }) => {
    const hosts = await Promise.all(Array.from({ length: 5 }, () => area.readyHost()));
    const sessions = Array.from({ length: 10 }, (_, index) => `s${index}`);
    for (const sessionId of sessions)
      await Promise.all(hosts.map((host) => start(host, { sessionId, command: 'true', args: [] })));
    for (const sessionId of sessions) {
      const views = await eventually(async () => {
        const found = await Promise.all(hosts.map((host) => about(host, sessionId)));
        return found.every((info) => info?.processes === hosts.length) && found;
      });
      expect(new Set(views.map((info) => info?.createdAt)).size).toBe(1);
    }
  });
});
