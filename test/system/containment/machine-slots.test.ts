import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { CAN_CONTAIN, it } from '../../../kit/containment.ts';
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

describe.runIf(CAN_CONTAIN)('hosts that share the slots of a machine', () => {
  it('never run more agents together, and lose no slot when one is SIGKILLed', async ({ area }) => {
    const size = { hosts: 3, limit: 2, forMs: 1500, killEveryMs: 500 };
    const { peak, kills, warnings, longestGapMs, slowestLookMs } = await sailCrew(area, size);
    expect(peak).toHaveLength(size.limit);
    expect(kills).toBeGreaterThan(0);
    expect(warnings).toEqual([]);
    expect(longestGapMs).toBeLessThan(allowedGapMs(slowestLookMs));
  });

  it('wait until the trees of a dead host are dead', async ({ area }) => {
    const ladder = { stdinEofMs: 0, termMs: 1500, killMs: 1000 };
    const pool = { concurrency: 2, machineConcurrency: 2 };
    const first = crewHost(area, STUBBORN, pool, { guardian: false, ladder });
    const before = await eventually(() => liveTrees(area).length === 2 && liveTrees(area), PATIENT);
    const second = crewHost(area, BRIEF, pool, { ladder });
    await second.next(({ event }) => event === 'ready');
    const witness = new CrewWitness(area, 2);
    first.kill('SIGKILL');
    await first.exited;
    await second.next(({ event }) => event === 'started');
    await witness.stop();
    expect(witness.peak).toHaveLength(2);
    expect(liveTrees(area)).not.toContain(before[0]);
    second.child.stdin?.end();
    await second.exited;
  });

  it('are too many where a dead host is believed to hold nothing (control)', async ({ area }) => {
    const ladder = { stdinEofMs: 0, termMs: 1500, killMs: 1000 };
    const pool = { concurrency: 2, machineConcurrency: 2 };
    const first = crewHost(area, STUBBORN, pool, { guardian: false, ladder });
    await eventually(() => liveTrees(area).length === 2, PATIENT);
    const second = crewHost(area, BRIEF, pool, { ladder });
    await second.next(({ event }) => event === 'ready');
    const witness = new CrewWitness(area, 2);
    const shares = join(area.stateDir, 'slots');
    const ofFirst = readdirSync(shares).filter((name) => holds(join(shares, name)) === 2);
    expect(ofFirst).toHaveLength(1);
    first.kill('SIGKILL');
    await first.exited;
    for (const name of ofFirst) rmSync(join(shares, name));
    await second.next(({ event }) => event === 'started');
    await eventually(() => witness.peak.length > 2, PATIENT);
    await witness.stop();
    second.child.stdin?.end();
    await second.exited;
    await area.endAll();
  });
});

/** A host takes a second of a core to start. */
const PATIENT = { timeoutMs: 30_000 };

function holds(path: string): unknown {
  return JSON.parse(readFileSync(path, 'utf8')).held;
}
