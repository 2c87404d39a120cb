// A session's clock is nobody's to restart: real hosts, one after the other, one of them killed.
import { describe, expect } from 'vitest';
import { CAN_CONTAIN, type ContainedHost, it, SLEEPER } from '../../../kit/containment.ts';
import { eventually } from '../../../kit/process-table.ts';
import type { ExitReport, SessionInfo, SpawnRequest } from '../../../src/index.ts';

const HOUR_MS = 3_600_000;
const MORE_MS = 2000;

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
    await start(first, { sessionId: 's', maxWallClockMs: HOUR_MS });
    const before = (await about(first, 's')) as SessionInfo;
    expect(before).toMatchObject({ processes: 1, live: 1, maxWallClockMs: HOUR_MS });
    first.kill('SIGKILL');
    await first.exited;

    const second = await area.readyHost();
    const id = await start(second, { sessionId: 's' });
    // The same without a limit: what lives on shows that nothing else ends it.
    const unlimited = await start(second, { sessionId: 'without end', maxWallClockMs: null });
    const after = (await about(second, 's')) as SessionInfo;
    const { createdAt } = before;
    expect(after).toMatchObject({ createdAt, processes: 2, live: 1, maxWallClockMs: HOUR_MS });
    expect(after.ageMs).toBeGreaterThan(before.ageMs);

    // However slow this machine is: so much more than what both hosts have taken.
    const limitMs = after.ageMs + MORE_MS;
    const more = await start(second, { sessionId: 's', maxWallClockMs: limitMs });
    const ids = [id, more].filter((one) => !one.startsWith('refused'));
    for (const id of ids) {
      const { report } = await second.ask({ do: 'exited', id });
      expect(report as ExitReport).toMatchObject({ cause: 'wall-clock', intentional: true });
    }
    expect((await about(second, 's'))?.ageMs).toBeGreaterThan(limitMs);
    expect(await start(second, { sessionId: 's' })).toBe('refused: SESSION_EXPIRED');
    expect((await second.ask({ do: 'list' }))['report']).toMatchObject([{ id: unlimited }]);

    const third = await area.readyHost();
    expect(await start(third, { sessionId: 's' })).toBe('refused: SESSION_EXPIRED');
    expect(await about(third, 's')).toMatchObject({
      createdAt,
      maxWallClockMs: limitMs,
      processes: 1 + ids.length,
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
