// What a sweep of a living host remembers: a child that has left its session and lost its environment
// is known only as long as its parent lives.
import { describe, expect } from 'vitest';
import {
  type Area,
  CAN_CONTAIN,
  type ContainedHost,
  endAndConfirm,
  it,
} from '../../../kit/containment.ts';
import { eventually, findByArgument, isAlive } from '../../../kit/process-table.ts';
import type { SpawnRequest } from '../../../src/index.ts';

/** An agent with such a child; the argument marks it, as it carries nothing else. */
function agent(area: Area): SpawnRequest {
  const args = [
    '-c',
    `env -i sh -c 'exec setsid sh -c "sleep 300; exit" $0' $0 & echo ready; wait`,
  ];
  return { command: 'sh', args: [...args, area.marker], kind: 'tool' };
}

async function spawned(host: ContainedHost, area: Area) {
  const { id, pid } = await host.ask({ do: 'spawn', request: agent(area) });
  const child = await eventually(() =>
    findByArgument(area.marker).find(
      (row) => row.sid === row.pid && row.pid !== pid && row.args[2]?.startsWith('sleep'),
    ),
  );
  return { id: String(id), pid: Number(pid), child };
}

describe.runIf(CAN_CONTAIN)('a child without session and environment', () => {
  it('is ended when its parent dies, after a sweep has seen both', async ({ area }) => {
    const host = await area.readyHost({
      options: { sweep: { intervalMs: 3_600_000 }, rlimitTag: false },
    });
    const { id, pid, child } = await spawned(host, area);
    await host.ask({ do: 'sweep' });
    process.kill(pid, 'SIGKILL');
    const { report } = await host.ask({ do: 'exited', id });
    expect(
      (report as { leftovers: { pid: number }[] }).leftovers.map((left) => left.pid),
    ).toContain(child.pid);
    expect(isAlive(child)).toBe(false);
  });

  it('negative control: outlives it where no sweep has, nor a tag', async ({ area }) => {
    const options = { sweep: { intervalMs: 3_600_000 }, rlimitTag: false };
    const host = await area.readyHost({ options });
    const { id, pid, child } = await spawned(host, area);
    process.kill(pid, 'SIGKILL');
    await host.ask({ do: 'exited', id });
    expect(isAlive(child)).toBe(true);
    await endAndConfirm([child, ...findByArgument(area.marker)]);
  });
});
