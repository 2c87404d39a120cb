import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { type Area, CAN_CONTAIN, it } from '../../../kit/containment.ts';
import {
  allowedGapMs,
  BRIEF,
  CrewWitness,
  crewHost,
  liveTrees,
  STUBBORN,
  sailCrew,
} from '../../../kit/crew.ts';
import { eventually } from '../../../kit/process-table.ts';

describe.runIf(CAN_CONTAIN)('twelve hosts that share three slots of a machine', () => {
  it('never run a fourth agent, and lose no slot, while they are SIGKILLed for 10 s', async ({
    area,
  }) => {
    const size = { hosts: 12, limit: 3, forMs: 10_000, killEveryMs: 500 };
    const { peak, kills, warnings, longestGapMs, slowestLookMs } = await sailCrew(area, size);
    expect(peak).toHaveLength(size.limit);
    expect(kills).toBeGreaterThan(5);
    expect(warnings).toEqual([]);
    expect(longestGapMs).toBeLessThan(allowedGapMs(slowestLookMs));
  });
});

describe.runIf(CAN_CONTAIN)('a host that is stopped', () => {
  const pool = { concurrency: 1, machineConcurrency: 1 };

  it('keeps the slot that its agent uses', async ({ area }) => {
    const holder = crewHost(area, STUBBORN, pool);
    await holder.next(({ event }) => event === 'started');
    const trees = liveTrees(area);
    expect(trees).toHaveLength(1);
    holder.kill('SIGSTOP');
    const waiter = crewHost(area, BRIEF, pool);
    await waiter.next(({ event }) => event === 'ready');
    await eventually(() => sharesOf(area).some(({ waiting }) => waiting.length > 0));
    const witness = new CrewWitness(area, 1);
    await eventually(() => witness.looks >= 20);
    await witness.stop();
    expect(witness.peak).toEqual(trees);
    // Its guardian ends its tree: a SIGKILL reaches a stopped process, too.
    holder.kill('SIGKILL');
    await waiter.next(({ event }) => event === 'started');
    waiter.child.stdin?.end();
    await waiter.exited;
  });

  it('and waits holds up nobody for long', async ({ area }) => {
    const holder = crewHost(area, 'sleep 2', pool);
    await holder.next(({ event }) => event === 'started');
    const stopped = crewHost(area, BRIEF, pool);
    await eventually(() => sharesOf(area).some(({ waiting }) => waiting.length > 0));
    stopped.kill('SIGSTOP');
    const before = holder.messages.length;
    await holder.next(({ event }) => event === 'started', before);
    stopped.kill('SIGCONT');
    await stopped.next(({ event }) => event === 'started');
    for (const host of [holder, stopped]) host.child.stdin?.end();
    await Promise.all([holder.exited, stopped.exited]);
  });
});

interface Share {
  readonly waiting: readonly unknown[];
}

function sharesOf(area: Area): Share[] {
  const folder = join(area.stateDir, 'slots');
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder).filter((name) => name.endsWith('.json'));
  return names.map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')));
}
