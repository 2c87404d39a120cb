// The same at length, and in the times that hold for everyone.
import { describe, expect } from 'vitest';
import {
  anotherKernel,
  CAN_PLAY_MACHINES,
  CONVERSATION,
  takeTurns,
} from '../../../kit/containers.ts';
import { it, spawned } from '../../../kit/containment.ts';
import { eventually, isAlive, type ProcessRow, readRow } from '../../../kit/process-table.ts';

const GIVE_UP_MS = 75_000;
const WAKE_MS = 10_000;
const STOPPED_MS = 90_000;

describe.runIf(CAN_PLAY_MACHINES)('twenty PID namespaces in turn, each killed', () => {
  it('everything that the dead one had locked works again within 3 s', async ({ area }) => {
    const took = await takeTurns(area, 20);
    console.log('ms:', took.map(Math.round).join(' '));
    for (const ms of took) expect(ms).toBeLessThan(3000);
  });
});

describe.runIf(CAN_PLAY_MACHINES)('another kernel', () => {
  it('is given up within 75 s', async ({ area }) => {
    const first = await area.readyHost({ through: anotherKernel(area) });
    await spawned(first, CONVERSATION);
    first.kill('SIGKILL');
    await first.exited;
    const beganMs = performance.now();
    const second = await area.readyHost();
    second.send({ do: 'spawn', request: CONVERSATION });
    await eventually(() => second.messages.find(({ done }) => done === 'spawn'), {
      timeoutMs: GIVE_UP_MS,
      what: 'the conversation goes on',
    });
    console.log('given up after ms:', Math.round(performance.now() - beganMs));
  });

  it('that stood still for 90 s ends its agent within 10 s', async ({ area }) => {
    const first = await area.readyHost({ through: anotherKernel(area) });
    await spawned(first, CONVERSATION);
    const [agent] = area
      .childrenOf(readRow(first.child.pid ?? 0) as ProcessRow)
      .filter(({ args }) => args.includes('300'));
    if (agent === undefined) throw new Error('there is no agent');
    const second = await area.readyHost();
    const stoppedAtMs = performance.now();
    first.kill('SIGSTOP');
    second.send({ do: 'spawn', request: CONVERSATION });
    await eventually(() => second.messages.find(({ done }) => done === 'spawn'), {
      timeoutMs: GIVE_UP_MS,
      what: 'the conversation goes on',
    });
    await eventually(() => performance.now() - stoppedAtMs > STOPPED_MS, {
      timeoutMs: STOPPED_MS,
      everyMs: 100,
    });
    first.kill('SIGCONT');
    await eventually(() => !isAlive(agent), { timeoutMs: WAKE_MS, what: 'its agent ends' });
  });
});
