// A setuid program below a host of an ordinary user: found by its tag, and not to be signalled.
import { chmodSync, chownSync } from 'node:fs';
import { describe, expect } from 'vitest';
import { CAN_COMPILE, compile } from '../../../kit/compile.ts';
import { type Area, CAN_CONTAIN, endAndConfirm, it, spawned } from '../../../kit/containment.ts';
import { eventually, findByArgument, isAlive } from '../../../kit/process-table.ts';
import { AS_NOBODY, NOBODY } from '../../../kit/tricks.ts';

const CAN_BE_ROOT = CAN_CONTAIN && CAN_COMPILE && process.getuid?.() === 0;

async function hostWithIntruder(area: Area, rest: string) {
  for (const path of [area.folder, area.stateDir]) chownSync(path, NOBODY, NOBODY);
  const program = compile('another-user', area.folder);
  chmodSync(program, 0o4755);
  const host = await area.readyHost({ through: AS_NOBODY });
  const line = `env -i setsid ${program} 60 >/dev/null 2>&1 & sleep 0.2; echo ready; ${rest}`;
  const { id } = await spawned(host, { command: 'sh', args: ['-c', line], kind: 'tool' });
  const intruder = await eventually(() => findByArgument(program)[0]);
  return { host, id, intruder };
}

describe.runIf(CAN_BE_ROOT)('what the system lets nobody signal', () => {
  it('is named as left over, and holds no slot', async ({ area }) => {
    const { host, id, intruder } = await hostWithIntruder(area, 'sleep 0.5');
    const { report } = await host.ask({ do: 'exited', id });
    expect(report).toMatchObject({
      cause: 'completed',
      forced: false,
      leftovers: [{ pid: intruder.pid, command: 'another-user' }],
    });
    expect(isAlive(intruder)).toBe(true);
    await host.listsNothing();
    await endAndConfirm([intruder]);
  });

  it('is named by a terminate, and holds no deadline', async ({ area }) => {
    const { host, id, intruder } = await hostWithIntruder(area, 'sleep 60');
    const { report } = await host.ask({ do: 'terminate', id });
    expect(report).toMatchObject({
      ended: [{ id, cause: 'terminated', forced: false }],
      survivors: [],
      unproven: [{ pid: intruder.pid, reason: expect.stringContaining('refuses a signal') }],
    });
    expect(isAlive(intruder)).toBe(true);
    await endAndConfirm([intruder]);
  });
});
