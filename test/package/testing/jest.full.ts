// The same tests under jest, which is installed from the registry.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EXPECTED, makeSampleProject, type SampleProject } from '../../../kit/sample-project.ts';
import { CAN_WATCH } from '../../../kit/supervised.ts';
import { createTestSupervisor, misbehave } from '../../../src/testing/index.ts';

let project: SampleProject;
beforeAll(async () => {
  project = await makeSampleProject(['jest@30']);
}, 300_000);
afterAll(() => project?.remove());

describe.runIf(CAN_WATCH)('under jest', () => {
  it.each(EXPECTED)('%s', async (sample, complaint) => {
    const { passed, output } = await project.run('jest', sample);
    expect(passed, output).toBe(complaint === undefined);
    if (complaint === undefined) return;
    expect(output).toMatch(complaint);
    expect(output).toContain(`${sample}.test.mjs has left something behind`);
  });
});

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
