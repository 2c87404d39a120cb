// No false alarm, however often a clean test file runs.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeSampleProject, type SampleProject } from '../../../kit/sample-project.ts';
import { CAN_WATCH } from '../../../kit/supervised.ts';
import { tool } from '../../../kit/tools.ts';
import { createTestSupervisor, misbehave } from '../../../src/testing/index.ts';

await tool('jest');
let project: SampleProject;
beforeAll(async () => {
  project = await makeSampleProject();
}, 300_000);
afterAll(() => project?.remove());

describe.runIf(CAN_WATCH).each(['vitest', 'node:test', 'jest'] as const)('under %s', (runner) => {
  it('raises no false alarm in many runs on a busy machine', { timeout: 1_800_000 }, async () => {
    const runs = Number(process.env['CLEAN_RUNS'] ?? 100);
    await using supervisor = createTestSupervisor();
    await supervisor.spawn(misbehave.spins({ liveMs: 1_800_000 })).started;
    for (let run = 1; run <= runs; run++) {
      const { passed, output } = await project.run(runner, 'clean');
      expect(passed, `run ${run}: ${output}`).toBe(true);
    }
  });
});
