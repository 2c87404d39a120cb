// A setuid program below an ordinary user's host: found by its tag, but the host may not signal it.
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

describe.runIf(CAN_BE_ROOT)('a process that the host may not signal', () => {
  it('is reported as left over, and keeps no slot', async ({ area }) => {
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

  it('is reported by a terminate, and does not delay it to the deadline', async ({ area }) => {
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
