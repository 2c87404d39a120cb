// The whole negative control of the matrix: which trees outlive which end of an agent that nobody supervises.
import { describe, expect, vi } from 'vitest';
import { endByMarker } from '../../kit/process-table.ts';
import { ENDS, MARKER, SHAPES, startScenario, survivors } from '../../kit/scenarios.ts';
import { CAN_WATCH_AGENTS, it } from '../../kit/supervised.ts';

vi.setConfig({ maxConcurrency: 3 });

const WATCHED_MS = 10_000;

const PAIRS = SHAPES.flatMap((shape) =>
  ENDS.filter((how) => how !== 'normal' || shape.endsNormally).map((how) => ({
    shape,
    how,
    leaks: shape.leaks.includes(how),
  })),
);

describe.runIf(CAN_WATCH_AGENTS)('without a supervisor', { concurrent: true }, () => {
  it.for(PAIRS)('$shape.name × $how leaks: $leaks', async (pair, { api, home, marker }) => {
    const scenario = await startScenario(pair.shape, { api, home, marker });
    scenario.end(pair.how);
    await scenario.done;
    const alive = await survivors(scenario, WATCHED_MS);
    expect(alive.length > 0).toBe(pair.leaks);
    await endByMarker(MARKER, marker);
  });
});
