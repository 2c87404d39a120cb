// A /proc that shows processes alone (mount option subset=pid, systemd's ProcSubset): no uptime, no boot id.
import { spawnSync } from 'node:child_process';
import { describe, expect } from 'vitest';
import {
  CAN_CONTAIN,
  CONTAINMENT_MARKER,
  endAndConfirm,
  GRACE_MS,
  it,
  SLEEPER,
  TREE_ROLES,
} from '../../../kit/containment.ts';
import { carrying, FedGuardian, OWNER, PRESENT, started } from '../../../kit/fed-guardian.ts';
import { isAlive } from '../../../kit/process-table.ts';

const MOUNT = '/bin/mount -t proc -o subset=pid proc /proc && exec "$@"';
const THROUGH = ['/usr/bin/unshare', '--mount', '/bin/sh', '-c', MOUNT, 'sh'];
const [UNSHARE = '', ...ARGS] = THROUGH;
const CAN_MOUNT =
  CAN_CONTAIN && spawnSync(UNSHARE, [...ARGS, 'sh', '-c', '[ ! -e /proc/uptime ]']).status === 0;
if (CAN_CONTAIN && !CAN_MOUNT)
  console.warn('left out: no /proc with subset=pid can be mounted here');

describe.runIf(CAN_MOUNT)('a host whose /proc shows processes alone', () => {
  it('starts, spawns and stops, and knows its own', async ({ area }) => {
    const host = await area.readyHost({ through: THROUGH });
    expect(await host.ask({ do: 'start' })).toMatchObject({ done: 'start' });
    expect(await host.ask({ do: 'spawn', request: SLEEPER })).toMatchObject({ done: 'spawn' });
    expect(await host.ask({ do: 'sweep' })).toMatchObject({ report: { ended: [], unproven: [] } });
    expect(await host.ask({ do: 'stop' })).toMatchObject({ report: { survivors: [] } });
    expect(area.tree()).toEqual([]);
    expect(area.files()).toEqual([]);
  });

  it('dies by SIGKILL: its guardian ends all', async ({ area }) => {
    const host = await area.readyHost({ through: THROUGH });
    await host.growTree();
    host.kill('SIGKILL');
    // Its clock has whole seconds there.
    expect(await area.survivors(GRACE_MS + 1000)).toEqual([]);
  });

  it('dies with its guardian off: all survive (control), and the next such host ends them', async ({
    area,
  }) => {
    const options = { guardian: false };
    const host = await area.readyHost({ through: THROUGH, options });
    const tree = await host.growTree();
    host.kill('SIGKILL');
    await host.exited;
    expect(tree.filter(isAlive)).toHaveLength(TREE_ROLES.length);
    const next = await area.readyHost({ through: THROUGH, options });
    await next.ask({ do: 'start' });
    expect(tree.filter(isAlive)).toEqual([]);
  });

  it('is unproven to a host that knows which boot this is, and lives on', async ({ area }) => {
    const options = { guardian: false };
    const host = await area.readyHost({ through: THROUGH, options });
    await host.ask({ do: 'spawn', request: SLEEPER });
    const other = await area.readyHost({ options });
    const started = await other.ask({ do: 'start' });
    expect(started['report']).toMatchObject({ ended: [], recovered: [] });
    expect(area.tree()).toHaveLength(1);
    await endAndConfirm(area.tree());
  });
});

describe.runIf(CAN_MOUNT).for(PRESENT.filter(({ onlyPs }) => !onlyPs))(
  'the guardian under $name, whose /proc shows processes alone,',
  (shell) => {
    it('ends politely within its grace, then by force', async ({ area }) => {
      const times = { politeMs: 300, forcedMs: 1000 };
      const guardian = await new FedGuardian(area, shell, { times, through: THROUGH }).ready();
      const marker = `${CONTAINMENT_MARKER}=${area.marker}`;
      // Only the group leads to the one that outlives its leader.
      const script = `env -i ${marker} sh -c 'trap "" TERM; exec sleep 300' & exec sleep 300`;
      const group = started(area, {}, ['sh', '-c', script]);
      const stubborn = started(area, carrying(`${OWNER}.1`), [
        ...['sh', '-c', 'trap "" TERM; exec sleep 300'],
      ]);
      guardian.register(group);
      const beganMs = performance.now();
      await guardian.hangUp();
      expect(performance.now() - beganMs).toBeGreaterThan(times.politeMs);
      expect(area.tree()).toEqual([]);
      expect([group, stubborn].filter(isAlive)).toEqual([]);
    });
  },
);
