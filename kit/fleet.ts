// Many hosts on one state directory, some of which are killed at work.
import { expect } from 'vitest';
import { createSupervisor } from '../src/index.ts';
import { type Area, type ContainedHost, GRACE_MS, LADDER } from './containment.ts';
import { isAlive } from './process-table.ts';

export interface FleetSize {
  readonly hosts: number;
  readonly processes: number;
  /** Number of hosts at work at the same time. */
  readonly atOnce: number;
}

/** Runs the fleet: every second host stops, every fourth is killed when full, the others at any time. */
export async function sailFleet(
  area: Area,
  { hosts, processes, atOnce }: FleetSize,
): Promise<void> {
  const canaries = Array.from({ length: 3 }, () => area.canary());
  const said: ContainedHost[] = [];
  let next = 0;
  const sailOne = async (): Promise<void> => {
    for (let number = next++; number < hosts; number = next++) {
      const clean = number % 2 === 0;
      const host = area.host({
        script: 'contained-fleet.ts',
        args: [String(processes), clean ? 'stop' : 'wait'],
        options: { pool: { hardCap: processes } },
      });
      said.push(host);
      if (clean) {
        expect(await host.exited).toEqual({ code: 0, signal: null });
        expect(host.messages.at(-1)).toMatchObject({ event: 'stopped', survivors: [] });
        continue;
      }
      await host.next(({ event }) => event === (number % 4 === 1 ? 'full' : 'ready'));
      host.kill('SIGKILL');
      await host.exited;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, sailOne));

  const last = createSupervisor({ stateDir: area.stateDir, guardian: true, ladder: LADDER });
  const report = await last.start();
  expect(report).toMatchObject({ survivors: [], unproven: [] });
  expect(await area.survivors(GRACE_MS)).toEqual([]);
  await last.stop();
  expect(area.files()).toEqual([]);

  const messages = said.flatMap((host) => host.messages);
  expect(messages.filter(({ event }) => event === 'warning')).toEqual([]);
  expect(messages.flatMap(({ unproven }) => unproven ?? [])).toEqual([]);
  expect(canaries.filter((row) => !isAlive(row))).toEqual([]);
}
